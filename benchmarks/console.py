"""What a run says on the terminal while it goes on: which weights, which task, how far, how long still."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.session import Listener
from fuselip.core.encoder import info_of

QUIET_SECONDS = 15.0


class ConsoleListener(Listener):
    """A live bar on a terminal; a line now and then where the output goes to a file. Everything goes to stderr."""

    def __init__(self, quiet: bool = False) -> None:
        """`quiet`: this is not the process that speaks for the run."""
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._live = self._console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._began = self._spoke = time.monotonic()

    def __enter__(self) -> ConsoleListener:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def introduce(self, encoder: Any) -> None:
        """Say in plain words which weights are used: a random run must not look like a trained one."""
        info = info_of(encoder)
        if info.weights is not None and info.weights.note:
            self.say(info.weights.note)

    def say(self, text: str) -> None:
        self._console.print(escape(text), soft_wrap=True)

    def progress(self, done: int, total: int) -> None:
        if self._live:
            if self._task is None:
                self._task = self._bar.add_task("encoding", total=total)
            self._bar.update(self._task, completed=done)
            return
        now = time.monotonic()
        if done == total or now - self._spoke >= QUIET_SECONDS:
            self._spoke = now
            left = (now - self._began) / max(done, 1) * (total - done)
            self.say(f"encoding {done}/{total}, about {left:.0f} s left")
