"""Textures as a source: training pictures made of nothing but a seed, so that no download and no photo is needed."""

from __future__ import annotations

from collections.abc import Iterator

from datagen.sources.types import Rejected, Source, SourceItem
from datagen.textures.render import DEFAULT_SIZE, KINDS, MAX_SIZE, MIN_SIZE, reference
from fuselip.core import seeds
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean

MAX_COUNT = 10**9


class Textures:
    """`count` pictures, the kinds taking turns. Item i is the same whatever `count` is: sets can grow."""

    def __init__(self, count: int = 1000, seed: int = 0, size: int = DEFAULT_SIZE) -> None:
        if not 1 <= count <= MAX_COUNT:
            raise UsageError(f"textures: count must be 1 to {MAX_COUNT}, not {count}")
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise UsageError(f"textures: size must be {MIN_SIZE} to {MAX_SIZE} pixels, not {size}")
        self.count, self.seed, self.size = count, seed, size
        self.name = f"textures?count={count}&seed={seed}&size={size}"

    def items(self) -> Iterator[SourceItem | Rejected]:
        return map(self.item, range(self.count))

    def item(self, index: int) -> SourceItem:
        """Item number `index`, without making those before it."""
        kind = list(KINDS)[index % len(KINDS)]
        image = reference(kind, seeds.derive("textures", self.seed, index), self.size)
        return SourceItem(f"texture-{index:09d}", image, origin=f"texture-{index:09d}")


def open_textures(rest: str, data_root: str | None) -> Source:
    """The source of a spec `textures[:][?count=N&seed=N&size=N]`, given without its kind."""
    options: dict[str, int] = {}
    for text in filter(None, rest.removeprefix("?").split("&")):
        name, _, value = text.partition("=")
        if name not in ("count", "seed", "size"):
            raise UsageError(f"textures have no option {name!r}{did_you_mean(name, ['count', 'seed', 'size'])}")
        if not value.isdecimal():
            raise UsageError(f"textures: {name} must be a whole number, not {value!r}")
        options[name] = int(value)
    return Textures(**options)
