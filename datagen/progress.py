"""What a long command says: how far it is, its rate and the time left (on stderr), and what it made in the end."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datagen.generate import Listener, Summary

QUIET_SECONDS = 15.0


class Progressing(Listener):
    """A live bar on a terminal, a line now and then elsewhere. Use as a context manager around the work."""

    def __init__(self, what: str) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._what = what
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._began = self._spoke = time.monotonic()

    def __enter__(self) -> Progressing:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def progress(self, summary: Summary, total: int | None) -> None:
        """Items that were finished in earlier sessions do not count for the rate."""
        done, fresh = summary.counts["items"], summary.made["items"]
        rate = fresh / max(time.monotonic() - self._began, 1e-9)
        pairs = summary.counts["pairs"]
        self.show(done, total, rate, f"{done}/{total or '?'} items, {pairs} pairs, {rate:.1f} items/s")

    def steps(self, done: int, total: int) -> None:
        rate = done / max(time.monotonic() - self._began, 1e-9)
        self.show(done, total, rate, f"{done}/{total}")

    def show(self, done: int, total: int | None, rate: float, text: str) -> None:
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task(self._what, total=total, text=text)
            self._bar.update(self._task, completed=done, total=total, text=text)
        elif time.monotonic() - self._spoke >= QUIET_SECONDS:
            self._spoke = time.monotonic()
            left = f", about {(total - done) / max(rate, 1e-9):.0f} s left" if total else ""
            self._console.print(escape(f"{self._what}: {text}{left}"), soft_wrap=True)


def told(summary: Summary, out: Path) -> str:
    counts, made = summary.counts, summary.made
    what = f"{counts['rows']} virtual rows" if counts["rows"] else f"{counts['groups']} groups, {counts['pairs']} pairs"
    lines = [f"{out}: {what} of {counts['items']} source items, {summary.bytes / 1e6:.1f} MB"]
    if summary.rejects:
        lines.append("left out: " + ", ".join(f"{reason} {count}" for reason, count in summary.rejects.most_common()))
    if made["items"]:
        rate = f"{made['items'] / summary.seconds:.1f} items/s"
        pairs = f", {made['pairs'] / summary.seconds:.1f} pairs/s" if made["pairs"] else ""
        lines.append(f"this session made {made['items']} items in {summary.seconds:.1f} s: {rate}{pairs}")
    else:
        lines.append("all of it stood already")
    return "\n".join(lines) + "\n"
