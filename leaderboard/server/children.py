"""Children: the processes beside the server; started again when they die, woken when there is work, ended with it."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

LOG = logging.getLogger("leaderboard.server")
_LONGEST = 60.0
_PATIENCE = 10.0
STORE = "FUSELIP_LEADERBOARD_STORE"
"""The variable that names the store to children: its URL may hold a password, and everybody can read command lines."""


def environment(store: str) -> dict[str, str]:
    """A child's. One thread for each: forks of a process with threads of numpy's could hang, and there are others."""
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    return {**os.environ, **single, STORE: store}


def log() -> None:
    """To standard error, from our own loggers; of the libraries', only what is amiss."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("leaderboard").setLevel(logging.INFO)


class Bell:
    """A child's end of its standard input: a byte wakes it; its end, SIGTERM or SIGINT say that it is time to stop.

    A parent that is killed closes it too, so that nothing is left running.
    """

    def __init__(self, *, listen: bool = True) -> None:
        self._listen, self._asked = listen, False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked = True

    @property
    def stopped(self) -> bool:
        if self._listen and not self._asked:
            self._hear(0.0)
        return self._asked

    def wait(self, seconds: float) -> None:
        """Until there is work, it is time to stop, or `seconds` have passed."""
        until = time.monotonic() + seconds
        while not self._asked and (left := until - time.monotonic()) > 0:
            if not self._listen:
                time.sleep(min(left, 0.1))
            elif self._hear(min(left, 1.0)):
                return

    def _hear(self, seconds: float) -> bool:
        if not select.select([0], [], [], seconds)[0]:
            return False
        if not os.read(0, 4096):
            self._asked = True
        return True


@dataclass
class _Child:
    """A process that is to run, as far as it is running: `deaths` in a row decide how long to wait."""

    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    since: float = 0.0
    not_before: float = 0.0


@dataclass
class Children:
    """`python -m` commands that are kept running by a thread. Use as a context manager."""

    store: str
    commands: Sequence[Sequence[str]]
    _children: list[_Child] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Children:
        self._children = [_Child(command) for command in self.commands]
        self._thread = threading.Thread(target=self._watch, name="children", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        until = time.monotonic() + _PATIENCE
        for process in running:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wake(self) -> None:
        """There is work: ring every bell. Never blocks."""
        for child in self._children:
            process = child.process
            if process and process.stdin:
                try:
                    os.write(process.stdin.fileno(), b".")
                except (BlockingIOError, BrokenPipeError, ValueError):
                    continue  # a full pipe will wake it, and a dead child looks for work when it is started again

    def pids(self) -> list[int]:
        return [child.process.pid for child in self._children if child.process]

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for child in self._children:
                self._tend(child, time.monotonic())

    def _tend(self, child: _Child, now: float) -> None:
        if child.process and (code := child.process.poll()) is not None:
            LOG.warning("%s ended with %s; it is started again", child.arguments[0], code)
            if child.process.stdin:
                child.process.stdin.close()
            child.deaths = 1 if now - child.since > _LONGEST else child.deaths + 1
            child.process, child.not_before = None, now + min(0.5 * 2 ** (child.deaths - 1), _LONGEST)
        if child.process is None and now >= child.not_before:
            child.process = _start(child.arguments, self.store)
            child.since = now


def _start(arguments: Sequence[str], store: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        env=environment(store),
        start_new_session=True,  # Ctrl-C reaches the server alone, which then ends them in order
    )
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    return process
