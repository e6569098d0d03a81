"""The order of an epoch: which groups are seen, and when, as a function of seed, epoch and part alone.

Groups are taken in blocks, runs of neighbours in one shard; blocks are shuffled over the whole mix, dealt to the parts
(ranks times workers), and the groups of several blocks together are shuffled again. So each shard is opened once or
twice an epoch, no part needs to know of another, and the union of the parts is the same for any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

from fuselip.core import seeds

# At least so many groups are shuffled together after the blocks are.
WINDOW = 4096


@dataclass(frozen=True)
class Run:
    """Groups `start` to `start + count - 1`, of one shard, seen `weight` times an epoch. `stratum`: one set and shape.

    The fractional part of a weight is exact over a stratum, whose groups all have the same number of pairs.
    """

    start: int
    count: int
    stratum: str
    weight: float


class Order:
    """All epochs' orders. Memory: 24 bytes a block."""

    def __init__(self, runs: Sequence[Run], block: int, seed: int) -> None:
        self._seed = seed
        self._window = max(WINDOW // block, 1)
        starts, counts, takes = [], [], []
        seen: dict[str, int] = {}
        for run in runs:
            for offset in range(0, run.count, block):
                count = min(block, run.count - offset)
                before = seen.get(run.stratum, 0)
                seen[run.stratum] = before + count
                starts.append(run.start + offset)
                counts.append(count)
                takes.append(_through(run.weight, before + count) - _through(run.weight, before))
        self._starts, self._counts, self._takes = (np.array(each, np.int64) for each in (starts, counts, takes))

    @property
    def size(self) -> int:
        """Groups seen in an epoch, all parts together; the same in every epoch."""
        return int(self._takes.sum())

    def windows(self, epoch: int, part: int = 0, parts: int = 1) -> Iterator[np.ndarray]:
        """int64 [n]: the numbers of the groups in the order in which they are seen, one window after the other."""
        assert 0 <= part < parts, f"part {part} of {parts}"
        blocks = seeds.generator("mix", self._seed, epoch).permutation(len(self._starts))[part::parts]
        for first in range(0, len(blocks), self._window):
            found = np.concatenate([self._picks(int(each), epoch) for each in blocks[first : first + self._window]])
            if len(found):
                seeds.generator("mix", self._seed, epoch, part, parts, first).shuffle(found)
                yield found

    def _picks(self, block: int, epoch: int) -> np.ndarray:
        """Every group of the block as often as its weight says; which ones once more than others is drawn."""
        count, take = int(self._counts[block]), int(self._takes[block])
        whole, rest = divmod(take, count)
        numbers = [np.tile(np.arange(count), whole)]
        if rest:
            rng = seeds.generator("mix", self._seed, epoch, "block", block)
            numbers.append(np.sort(rng.choice(count, rest, replace=False)))
        return np.concatenate(numbers) + self._starts[block]


def _through(weight: float, count: int) -> int:
    """How many of a stratum's first `count` groups are seen. The small term keeps 0.1 * 10 from falling below 1."""
    return floor(weight * count + 1e-9)
