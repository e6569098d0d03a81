"""One part as an endless (or not) stream of items, with its place in it: epoch and position."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import islice

from fuselip.core.errors import UserError
from fuselip.train.data.pieces import Piece
from fuselip.train.data.work import Readers, Task

CHUNK = 4  # items that a worker makes at once
AHEAD = 2  # chunks that each worker is given ahead, of each part
MOST_EMPTY = 10_000  # items in a row that give no pairs before something must be wrong


class Exhausted(Exception):
    """A part has given all its items, and is not to start over."""


class Stream:
    """The items of part `index` that fall to this rank. `epoch`, `position`: of the next item that is not given yet."""

    def __init__(self, readers: Readers, index: int, rank: int, world: int, repeat: bool, draws: int) -> None:
        self._readers, self._index, self._rank, self._world = readers, index, rank, world
        self._repeat, self._draws = repeat, draws
        self.epoch = self.position = 0
        self._jobs: deque[tuple[list[tuple[int, int]], Future[list[list[Piece]]] | Sequence[Task]]] = deque()
        self._ready: Iterator[tuple[tuple[int, int], list[Piece]]] = iter(())
        self._tasks: Iterator[tuple[tuple[int, int], Task]] | None = None

    def seek(self, epoch: int, position: int) -> None:
        """Go to a place; before the first `next`."""
        self.epoch, self.position = epoch, position

    def next(self) -> list[Piece]:
        """The pieces of the next item that has any. Raises Exhausted, or UserError where nothing comes of the part."""
        for _ in range(MOST_EMPTY):
            place, pieces = self._next()
            self.epoch, self.position = place
            if pieces:
                return pieces
        raise UserError(f"{self._name()}: {MOST_EMPTY} items in a row gave no pairs; check its options")

    def _next(self) -> tuple[tuple[int, int], list[Piece]]:
        while True:
            self._fill()
            found = next(self._ready, None)
            if found is not None:
                return found
            if not self._jobs:
                raise Exhausted(self._name())
            places, job = self._jobs.popleft()
            self._ready = zip(places, self._readers.result(job), strict=True)

    def _fill(self) -> None:
        if self._tasks is None:
            self._tasks = self._numbers(self.epoch, self.position)
        wanted = max(AHEAD * self._readers.workers, 1)
        while len(self._jobs) < wanted:
            chunk = list(islice(self._tasks, CHUNK if self._readers.workers else 1))
            if not chunk:
                return
            self._jobs.append(([place for place, _ in chunk], self._readers.submit([task for _, task in chunk])))

    def _numbers(self, epoch: int, position: int) -> Iterator[tuple[tuple[int, int], Task]]:
        """((epoch, position after the item), its task)."""
        source = self._readers.parts.source(self._index)
        while True:
            drawn = epoch % self._draws if self._draws else epoch
            given = position
            for number in islice(source.order(epoch, self._rank, self._world), position, None):
                given += 1
                yield (epoch, given), (self._index, drawn, number)
            if given == 0:
                raise UserError(f"{self._name()} has {len(source)} items, too few for {self._world} processes")
            if not self._repeat:
                return
            epoch, position = epoch + 1, 0

    def _name(self) -> str:
        return f"data, part {self._index} ({self._readers.parts.parts[self._index].source})"
