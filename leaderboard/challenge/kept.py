"""Challenges in the store: its rows as Records, the server's key beside its database, and public scores to compare."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuselip.core.errors import UserError
from fuselip.core.files import explain, fsync_folder
from leaderboard.challenge import Record, instant, stamp
from leaderboard.challenge.compare import PublicTask
from leaderboard.challenge.score import Public

if TYPE_CHECKING:
    from leaderboard.store import Challenge, Store

KEY_FILE = "challenge.key"
KEY_BYTES = 32


class Kept:
    """`leaderboard.challenge.Challenges` on a Store."""

    def __init__(self, store: Store, actor: str = "store", tries: int | None = None) -> None:
        from leaderboard.store.challenges import TRIES

        self._store, self._actor, self._tries = store, actor, TRIES if tries is None else tries

    def challenge_key(self) -> bytes:
        """256 random bits in a file of the store's folder that only its owner can read; no export holds it."""
        path = self._store.folder / KEY_FILE
        if not path.exists():
            _new_key(path)
        try:
            key = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
        if len(key) != KEY_BYTES:
            raise UserError(f"{path} does not hold {KEY_BYTES} bytes; restore it, or remove it to void open challenges")
        return key

    def challenge_add(self, record: Record) -> None:
        from leaderboard.store import models

        about = {
            "names": list(record.tasks),
            "questions": record.questions,
            "created": record.created,
            "content": record.content,
        }
        expires = models.stamp(instant(record.expires))
        self._store.challenge_add(record.id, record.seed, about, expires, actor=self._actor)

    def challenge(self, id: str) -> Record | None:
        return next((each for each in self.challenges() if each.id == id), None)

    def challenges(self) -> list[Record]:
        return [_record(row) for row in self._store.challenges()]

    def challenge_use(self, id: str, submission: str, outcome: dict[str, Any], now: datetime) -> bool:
        """Keep the outcome, and award the badge "challenged" where it is credible and no better one was given.

        Raises UserError where the submission has no try left.
        """
        if self._store.challenge(id).result:
            return False
        award = bool(outcome["credible"])
        told = result(outcome)
        self._store.challenge_settle(id, submission, told, award=award, tries=self._tries, actor=self._actor)
        return True

    def public(self, submission: str) -> Public:
        """What was computed of an accepted submission. Raises UserError where there is none such, or no try is left."""
        held = self._store.submission(submission)
        self._store.challenge_tries(submission, self._tries)
        entry = next((each for each in self._store.rows() if each.id == submission), None)
        if entry is None:
            raise UserError(
                f"submission {submission} is {held.state}, not accepted; only a row of the board is challenged"
            )
        units = self._store.units([submission])
        chance = {told.task: float(told.numbers["chance"]) for told in entry.scores}
        tasks = {
            name: PublicTask(each.values[submission].tolist(), each.clusters, chance[name])
            for name, each in units.items()
            if submission in each.values and name in chance
        }
        return Public(submission, held.encoder.get("fingerprint"), tasks)


def result(outcome: dict[str, Any]) -> dict[str, Any]:
    """An outcome as the store keeps it: the numbers that a row of the board tells, and all of it under "outcome"."""
    gap, side = outcome["gap"], outcome["compared"]
    return {
        "public": outcome["public"]["value"],
        "challenge": side["value"],
        "gap": gap["value"],
        "low": gap["low"],
        "high": gap["high"],
        "credible": outcome["credible"],
        "outcome": outcome,
    }


def _record(row: Challenge) -> Record:
    about = row.tasks
    return Record(
        id=row.id,
        seed=row.seed,
        tasks=tuple(about["names"]),
        questions=about["questions"],
        created=about["created"],
        expires=stamp(datetime.fromisoformat(row.expires)),
        content=about["content"],
        used_by=row.used_by,
        outcome=row.result.get("outcome"),
    )


def _new_key(path: Path) -> None:
    """Written whole under another name, then linked: of two processes at once, one's key stays and both use it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
        fsync_folder(path.parent)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
