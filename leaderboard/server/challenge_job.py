"""A challenge made, or a response scored, in a process of its own: rendering takes long, a response is a stranger's.

    python -m leaderboard.server.challenge_job make|score < request > result

`make` reads {tasks, questions, hours} and writes the zip; `score` reads the response and writes its outcome as JSON.
The store is named by the environment (`children.STORE`). Exit code 1 says that the request is at fault, on stderr why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import msgspec

from fuselip.core.errors import UserError
from leaderboard.server.children import STORE, environment

WRONG = 1


class JobError(Exception):
    """A job without a result. `code`: wrong (the request is at fault), late, or failed (we are)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ask(store: str, kind: str, request: bytes, seconds: float) -> bytes:
    """The result of a job on `store`. Raises JobError; a job that takes over `seconds` is killed."""
    command = [sys.executable, "-m", __name__, kind]
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, timeout=seconds, env=environment(store), check=False
        )
    except subprocess.TimeoutExpired:
        raise JobError("late", f"it took over {seconds:g} s") from None
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip()
        raise JobError("wrong" if done.returncode == WRONG else "failed", told[:1000])
    return done.stdout


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What `make` is asked."""

    tasks: list[str]
    questions: int
    hours: float


def make(store: str, request: bytes) -> bytes:
    from leaderboard.challenge import sign
    from leaderboard.challenge.kept import Kept
    from leaderboard.challenge.make import make as make_challenge
    from leaderboard.store import Store

    wanted = msgspec.json.decode(request, type=Wanted)
    held, now = Kept(Store.open(store), "server"), datetime.now(UTC)
    data, record = make_challenge(
        sign.new_seed(), held.challenge_key(), wanted.tasks, wanted.questions, now, wanted.hours
    )
    held.challenge_add(record)
    return record.id.encode() + b"\n" + data


def score(store: str, request: bytes) -> bytes:
    from leaderboard.challenge.kept import Kept
    from leaderboard.challenge.score import settle
    from leaderboard.store import Store

    held = Kept(Store.open(store), "server")
    return msgspec.json.encode(settle(held, request, held.public, now=datetime.now(UTC)))


def main() -> None:
    from leaderboard.server.worker import Bounds, confine

    confine(Bounds())
    kind, request = sys.argv[1], sys.stdin.buffer.read()
    try:
        found = {"make": make, "score": score}[kind](os.environ[STORE], request)
    except UserError as error:
        sys.stderr.write(str(error))
        sys.exit(WRONG)
    except BaseException as error:
        sys.stderr.write(type(error).__name__)
        sys.exit(WRONG + 1)
    sys.stdout.buffer.write(found)


if __name__ == "__main__":
    main()
