"""The drill-down between builds: a task's questions are looked at anew only where the rows that answer them changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fuselip.core.files import write_bytes
from fuselip.core.types import content_hash
from leaderboard.answers import Book
from leaderboard.board import Board
from leaderboard.site.questions import TaskQuestions
from leaderboard.site.sources import Disagreements

if TYPE_CHECKING:
    from leaderboard.store import Store

SCHEMA = 1
_DIGEST = 32


class Drill:
    """The questions of a board's tasks, kept in `folder`: one file for each task, bundles and version of them."""

    def __init__(self, store: Store, answers: Path, data: Path | None, folder: Path) -> None:
        self._store, self._answers, self._data, self._folder = store, answers, data, folder
        self.behind = False
        """Whether the last look left a task out for want of time."""

    def questions(self, board: Board, seconds: float) -> Iterator[TaskQuestions]:
        """What is kept and still true, and what can be looked at anew within `seconds`; the rest is left out."""
        self._folder.mkdir(parents=True, exist_ok=True)
        until, self.behind, used = time.monotonic() + seconds, False, set()
        # Sheets fill the memory: the book lives as long as this look.
        found = Disagreements(self._store, board, Book(self._answers, self._data))
        for task, having in found.tasks():
            path = self._folder / f"{content_hash([SCHEMA, task.name, task.version, task.data_hash, having])}.questions"
            used.add(path.name)
            kept = _read(path)
            if kept is None and time.monotonic() >= until:
                self.behind = True
                continue
            if kept is None:
                kept = found.questions(task, having) or TaskQuestions(task.name)
                _write(path, kept)
            yield kept
        for path in self._folder.iterdir():
            if path.name not in used:
                path.unlink(missing_ok=True)


def _write(path: Path, questions: TaskQuestions) -> None:
    packed = msgspec.msgpack.encode(questions)
    write_bytes(path, hashlib.sha256(packed).digest() + packed)


def _read(path: Path) -> TaskQuestions | None:
    """None where there is none yet, or it is damaged."""
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(held[_DIGEST:]).digest() != held[:_DIGEST]:
        return None
    return msgspec.msgpack.decode(held[_DIGEST:], type=TaskQuestions)
