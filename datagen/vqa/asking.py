"""Asking many rows at once: a fixed number of threads, each result in the journal as soon as it is there."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

from datagen.sources.types import Question
from datagen.vqa.journal import Journal
from datagen.vqa.rules import Rules
from datagen.vqa.types import Backend, Failed, Row
from fuselip.core.errors import UserError

TICK = 0.2  # seconds between looks at what happens
# So many rows in a row without any reply: the server is gone, and the rest of the rows would only be marked as failed.
HOPELESS = 30

Tell = Callable[["Tally"], None]


class Tally:
    """What this session asked: `counts` by "ok" or the reason why not."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listed = 0  # rows of the source passed so far, asked or known before
        self._silent = 0
        self._lock = threading.Lock()

    @property
    def asked(self) -> int:
        return self.counts.total()

    def add(self, reason: str, spoke: bool, detail: str = "") -> None:
        """Raises UserError where nothing has been said for too long."""
        with self._lock:
            self.counts[reason or "ok"] += 1
            self._silent = 0 if spoke else self._silent + 1
            if self._silent >= HOPELESS:
                raise UserError(
                    f"the last {HOPELESS} requests all failed ({reason}: {detail[:200]}); mend the server and run the "
                    f"same command with --retry {reason}"
                )


class Pool:
    """Threads that ask; use as a context manager. Leaving it with an error abandons what is still being asked."""

    def __init__(self, backend: Backend, journal: Journal, rules: Rules, tell: Tell) -> None:
        self._backend, self._journal, self._rules, self._tell = backend, journal, rules, tell
        self.tally = Tally()
        self._todo: queue.Queue[list[Row]] = queue.Queue(maxsize=backend.threads)
        self._stop = threading.Event()
        self._errors: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        # Daemons: a thread that waits for a slow server must not keep an interrupted program from ending.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(backend.threads)]

    def ask(self, rows: Iterable[Row]) -> Tally:
        """Ask them all. Raises what a thread raised; results that came before it are in the journal."""
        for thread in self._threads:
            thread.start()
        try:
            waiting: list[Row] = []
            for row in rows:
                waiting.append(row)
                if len(waiting) == self._backend.batch:
                    self._put(waiting)
                    waiting = []
            if waiting:
                self._put(waiting)
            for _ in self._threads:
                self._put([])
            for thread in self._threads:
                while thread.is_alive():
                    thread.join(TICK)
                    self._look()
            self._look()
        finally:
            self._stop.set()
            self._backend.stop()
        return self.tally

    def _put(self, rows: list[Row]) -> None:
        while True:
            self._look()
            with suppress(queue.Full):
                return self._todo.put(rows, timeout=TICK)

    def _look(self) -> None:
        with suppress(queue.Empty):
            raise self._errors.get_nowait()
        self._tell(self.tally)

    def _work(self) -> None:
        try:
            while not self._stop.is_set() and (rows := self._todo.get()):
                self._keep(rows)
        except BaseException as error:  # whatever it is, the main thread raises it
            self._errors.put(error)

    def _keep(self, rows: list[Row]) -> None:
        for row, outcome in zip(rows, self._backend.ask(rows), strict=True):
            if self._stop.is_set() and isinstance(outcome, Failed):
                continue  # it failed because it was stopped
            self._journal.append(row, outcome)
            judged = outcome if isinstance(outcome, Failed) else self._rules.judge(outcome, row.caption)
            reason = "" if isinstance(judged, Question) else judged.reason
            self.tally.add(
                reason, not isinstance(outcome, Failed), "" if isinstance(judged, Question) else judged.detail
            )
