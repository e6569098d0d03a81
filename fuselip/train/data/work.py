"""Parts opened for reading, and reading ahead in worker processes. The pieces are the same for any number of them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from fuselip.core.errors import UserError
from fuselip.train.data.config import Part
from fuselip.train.data.pieces import Piece
from fuselip.train.data.realise import Making, Realiser
from fuselip.train.data.sources import GroupSource, open_groups
from fuselip.train.data.stored import MANIFEST, PLAN, Stored

Task = tuple[int, int, int]
"""(part, epoch, number of the item)."""


@dataclass
class Parts:
    """The parts of a data config, each opened when it is first read."""

    making: Making
    parts: Sequence[Part]
    _open: dict[int, GroupSource | Stored] = field(default_factory=dict)
    _realiser: Realiser | None = None

    def source(self, part: int) -> GroupSource | Stored:
        if part not in self._open:
            given = self.parts[part]
            if any((Path(given.source) / name).is_file() for name in (PLAN, MANIFEST)):
                self._open[part] = Stored(Path(given.source), self.making, **_kinds(given))
            else:
                self._open[part] = open_groups(given, self.making.seed)
        return self._open[part]

    def is_stored(self, part: int) -> bool:
        """Whether it is read faster than sent between processes."""
        return isinstance(self.source(part), Stored)

    def pieces(self, task: Task) -> list[Piece]:
        """The pieces of an item. Raises UserError that names the part where it cannot be made."""
        part, epoch, number = task
        source = self.source(part)
        if isinstance(source, Stored):
            return source.pieces(number, (part, epoch, number, 0))
        if self._realiser is None:
            self._realiser = Realiser(self.making)
        try:
            groups = enumerate(source.read(number, epoch))
            made = [self._realiser.piece(group, (part, epoch, number, place)) for place, group in groups]
        except UserError as error:
            raise UserError(f"data, part {part} ({self.parts[part].source}), item {number}: {error}") from error
        return [piece for piece in made if piece is not None]

    def refresh(self) -> None:
        """See what has been cached since, by this process too."""
        for each in (self._realiser, *self._open.values()):
            if isinstance(each, Realiser | Stored):
                each.refresh()


class Readers:
    """Reads items in worker processes (0: in this one). Use as a context manager."""

    def __init__(self, parts: Parts, workers: int) -> None:
        self.parts, self.workers = parts, workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Readers:
        if self.workers:
            context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
            made = (self.parts.making, tuple(self.parts.parts), os.getpid())
            self._pool = ProcessPoolExecutor(self.workers, context, _start, made)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, tasks: Sequence[Task]) -> Future[list[list[Piece]]] | Sequence[Task]:
        """To be passed to `result`, in the order wanted."""
        if self._pool is None or self.parts.is_stored(tasks[0][0]):
            return tasks
        try:
            return self._pool.submit(_work, tuple(tasks))
        except BrokenProcessPool as error:
            raise _killed() from error

    def result(self, job: Future[list[list[Piece]]] | Sequence[Task]) -> Iterator[list[Piece]]:
        """The pieces of each item, in order."""
        if isinstance(job, Future):
            try:
                yield from job.result()
            except BrokenProcessPool as error:
                raise _killed() from error
        else:
            self.parts.refresh()
            yield from map(self.parts.pieces, job)


def _killed() -> UserError:
    return UserError("a data worker was killed (out of memory?); resume with fewer workers or smaller images")


def _kinds(part: Part) -> dict[str, str]:
    if unknown := sorted(set(part.options) - {"kinds"}):
        raise UserError(f"{part.source} is a prepared set, which has the option kinds, not {unknown[0]!r}")
    return {key: str(value) for key, value in part.options.items()}


_parts: list[Parts] = []


def _start(making: Making, parts: Sequence[Part], parent: int) -> None:
    """In a worker."""
    os.setpgid(0, 0)  # Ctrl-C and torchrun signal whole groups: the run is to finish its step, and needs us for it
    end_with(parent)
    _parts[:] = [Parts(making, parts)]


def end_with(parent: int) -> None:
    """When the process `parent` is gone, end this one: a worker would wait for tasks for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(tasks: Sequence[Task]) -> list[list[Piece]]:
    _parts[0].refresh()
    return [_parts[0].pieces(task) for task in tasks]
