"""Reading a mix: its groups by number or in an epoch's order, straight from the shards.

Nothing here needs torch. In a DataLoader's workers call `groups(epoch, part=rank * workers + worker, parts=...)`;
a reader is small when pickled, and every process opens shards of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np

from datagen import index as rows
from datagen import virtual
from datagen.mix import index
from datagen.mix.order import Order, Run
from datagen.mix.sets import VIRTUAL, Chunk
from datagen.types import Skip
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import sha256_file
from fuselip.core.shards import Shard
from fuselip.core.types import Group

OnError = Callable[[int, UserError], None]
OPEN = 32


class MixReader:
    """The items of a mix by number: `len`, `read(i, epoch)`, and in order: `items(epoch)`, `groups(epoch)`.

    An item is a group of a shard, or a row of a virtual set with all groups that the epoch draws for it: groups are
    never split. `data_roots` says where the file names of virtual sets start on this machine, by set.
    """

    def __init__(self, path: str | Path, data_roots: Mapping[str, Path] | None = None) -> None:
        """Raises UserError where the index or a set is missing, or a set is not what it was when it was mixed."""
        self.path = Path(path)
        self.index = index.read(self.path)
        folder = self.path.absolute().parent
        self._folders = {name: folder / each.folder for name, each in self.index.sets.items()}
        self._roots = {name: folder / each.data_root for name, each in self.index.sets.items() if each.data_root}
        self._roots |= dict(data_roots or {})
        for name, each in self.index.sets.items():
            _check_unchanged(name, self._folders[name], each.manifest)
        self._ends = list(accumulate(chunk.groups for chunk in self.index.chunks))
        self._order: Order | None = None
        self._open: OrderedDict[int, Shard | Sequence[Mapping[str, Any]]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_order": None, "_open": OrderedDict()}

    def __len__(self) -> int:
        """Items in the mix, each counted once."""
        return self._ends[-1] if self._ends else 0

    @property
    def epoch_size(self) -> int:
        """Items seen in an epoch: every set as often as its weight says."""
        return self._ordered().size

    def set_of(self, number: int) -> str:
        """The set that an item belongs to."""
        return self._find(number)[1].set

    def read(self, number: int, epoch: int = 0) -> tuple[Group, ...]:
        """The groups of item `number`; of virtual items those of that epoch. Images load when asked for.

        Raises IndexError, or UserError where the shard is damaged or the recipe cannot be followed.
        """
        place, chunk, at = self._find(number)
        opened = self._opened(place, chunk)
        if isinstance(opened, Shard):
            if len(opened) != chunk.groups:
                raise UserError(f"{opened.path} has {len(opened)} groups, not {chunk.groups}; get it again")
            return (opened[at].group(),)
        found = virtual.realise(opened[at], epoch, self._roots.get(chunk.set))
        return tuple(group for group in found if not isinstance(group, Skip))

    def order(self, epoch: int = 0, part: int = 0, parts: int = 1) -> Iterator[int]:
        """The numbers of the items in the order of an epoch, or of one part of it. UsageError for part >= parts."""
        return (int(number) for window in self._windows(epoch, part, parts) for number in window)

    def items(
        self, epoch: int = 0, part: int = 0, parts: int = 1, skip: int = 0, on_error: OnError | None = None
    ) -> Iterator[tuple[int, tuple[Group, ...]]]:
        """(number, groups) in that order, from the `skip`-th on (to resume within an epoch).

        An item that cannot be read raises its UserError, or is passed over after `on_error(number, error)`. Of each
        window (4096 items) the groups are kept, without pixels, as they are read shard by shard.
        """
        for window in self._windows(epoch, part, parts):
            if skip >= len(window):
                skip -= len(window)
                continue
            wanted, skip = window[skip:], 0
            found: dict[int, tuple[Group, ...]] = {}
            for number in np.unique(wanted).tolist():
                try:
                    found[number] = self.read(number, epoch)
                except UserError as error:
                    if on_error is None:
                        raise
                    on_error(number, error)
            yield from ((number, found[number]) for number in wanted.tolist() if number in found)

    def groups(
        self, epoch: int = 0, part: int = 0, parts: int = 1, skip: int = 0, on_error: OnError | None = None
    ) -> Iterator[Group]:
        """As `items`, group by group."""
        return (group for _, groups in self.items(epoch, part, parts, skip, on_error) for group in groups)

    def _windows(self, epoch: int, part: int, parts: int) -> Iterator[np.ndarray]:
        if not 0 <= part < parts or epoch < 0:
            raise UsageError(f"part {part} of {parts}, epoch {epoch}: parts and epochs are numbered from 0")
        return self._ordered().windows(epoch, part, parts)

    def _ordered(self) -> Order:
        if self._order is None:
            starts = [0, *self._ends]
            runs = [
                Run(start, chunk.groups, f"{chunk.set}/{chunk.shape}", self.index.sets[chunk.set].weight)
                for start, chunk in zip(starts, self.index.chunks, strict=False)
            ]
            self._order = Order(runs, self.index.block, self.index.seed)
        return self._order

    def _find(self, number: int) -> tuple[int, Chunk, int]:
        """(which chunk, the chunk, place in it)."""
        if not 0 <= number < len(self):
            raise IndexError(f"item {number} of {len(self)}")
        place = bisect_right(self._ends, number)
        return place, self.index.chunks[place], number - (self._ends[place - 1] if place else 0)

    def _opened(self, place: int, chunk: Chunk) -> Shard | Sequence[Mapping[str, Any]]:
        if place not in self._open:
            path = self._folders[chunk.set] / chunk.file
            virtual_ = chunk.shape == VIRTUAL
            self._open[place] = list(islice(rows.read(path, virtual.SCHEMA), chunk.groups)) if virtual_ else Shard(path)
            if len(self._open) > OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(place)
        return self._open[place]


def _check_unchanged(name: str, folder: Path, manifest: str) -> None:
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"the set {name!r} is not at {folder}; put it back, or mix again where the sets are now")
    if sha256_file(path) != manifest:
        raise UserError(f"the set {name!r} at {folder} has changed since it was mixed; run `fuselip-datagen mix` again")
