"""Sources of groups: code by name, folders of built sets, indexes of mixes; and the order in which they are read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fuselip.core import seeds
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import load
from fuselip.core.shards import ShardSet, open_sets
from fuselip.core.types import Group
from fuselip.train.data.config import Part

MIX_READER = "datagen.mix:MixReader"
# Groups read one after the other from one shard, and how many such blocks are shuffled together.
BLOCK, WINDOW = 64, 64


class GroupSource(Protocol):
    """Items by number; an item is one or several groups, never split. What `datagen.mix.MixReader` is, too."""

    def __len__(self) -> int: ...

    def order(self, epoch: int = 0, part: int = 0, parts: int = 1) -> Iterator[int]:
        """The numbers of an epoch's items, or of one part of them, in the order in which they are seen."""
        ...

    def read(self, number: int, epoch: int = 0) -> Sequence[Group]:
        """The groups of an item; what is drawn anew every epoch is drawn for `epoch`."""
        ...


class Folder:
    """The shard sets of a built folder, shuffled by blocks every epoch, so that each shard is opened a few times."""

    def __init__(self, folder: Path, seed: int) -> None:
        if not (folder / "data").is_dir() and any((folder / "virtual").glob("*.parquet")):
            raise UserError(f"{folder} is a virtual set; name the index that `fuselip-datagen mix` makes of it")
        self._seed = seed
        self._sets: list[ShardSet] = list(open_sets(folder).values())
        self._ends = list(accumulate(map(len, self._sets)))

    def __len__(self) -> int:
        return self._ends[-1]

    def order(self, epoch: int = 0, part: int = 0, parts: int = 1) -> Iterator[int]:
        blocks = seeds.generator("folder", self._seed, epoch).permutation(-(-len(self) // BLOCK))[part::parts]
        for first in range(0, len(blocks), WINDOW):
            chosen = blocks[first : first + WINDOW, None] * BLOCK + np.arange(BLOCK)
            numbers = chosen[chosen < len(self)]
            seeds.generator("folder", self._seed, epoch, part, parts, first).shuffle(numbers)
            yield from numbers.tolist()

    def read(self, number: int, epoch: int = 0) -> Sequence[Group]:
        which = bisect_right(self._ends, number)
        return (self._sets[which][number - (self._ends[which - 1] if which else 0)].group(),)


def open_groups(part: Part, seed: int) -> GroupSource:
    """The source of groups that a part names. Raises UsageError for names that are not known, UserError for files."""
    name = part.source
    path = Path(name)
    if path.suffix == ".parquet" or path.is_dir():
        if part.options:
            raise UsageError(f"{name} takes no options; they are for sources by name")
        found: Any = Folder(path, seed) if path.is_dir() else load(MIX_READER)(path)
        return _checked(found, name)
    if ":" not in name:
        raise UserError(f"{name} is no folder of a set, no index of a mix and no module:attribute; check the spelling")
    try:
        found = load(name)(**({"seed": seed} | dict(part.options)))
    except TypeError as error:
        raise UsageError(f"{name}: {error}; check the options of this part") from error
    return _checked(found, name)


def _checked(found: Any, name: str) -> GroupSource:
    if not (hasattr(found, "read") and hasattr(found, "order") and hasattr(found, "__len__")):
        raise UsageError(f"{name} gives no source of groups (it needs __len__, order and read)")
    if len(found) == 0:
        raise UserError(f"{name} holds no groups; build it again")
    source: GroupSource = found
    return source
