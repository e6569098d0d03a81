"""What is built: a configuration, and from it and the source a fixed plan of shards.

Shard k holds the source's items k*m to (k+1)*m-1, usable or not. So the plan does not depend on how many workers there
are, on what was finished before, or on which items turn out bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from datagen.codecs import Codec
from datagen.items import Placed
from datagen.recipes import registry
from datagen.sources.types import Rejected, Source, SourceItem
from datagen.types import Recipe, Skip
from fuselip.core import seeds
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import Group, Scalar

SCHEMA = 1


@dataclass(frozen=True)
class Config:
    """All that decides the bytes of a set, beside the source's contents and the software. `source` is its name."""

    builder: str
    version: int
    params: Mapping[str, Scalar]
    source: str
    seed: int
    epoch: int
    limit: int | None
    shard_items: int
    codec: Codec
    virtual: bool

    @classmethod
    def of(
        cls,
        builder: str,
        source: str,
        params: Mapping[str, Scalar] | None = None,
        *,
        seed: int = 0,
        epoch: int = 0,
        limit: int | None = None,
        shard_items: int | None = None,
        codec: Codec | None = None,
        virtual: bool = False,
    ) -> Config:
        """With defaults filled in. Raises UsageError for unknown names and values out of range."""
        for name, value in {"--limit": limit, "--shard-items": shard_items}.items():
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: it is 1 or more")
        recipe = registry.create(builder, params)
        m = shard_items or registry.find(builder).shard_items
        return cls(
            builder, recipe.version, dict(recipe.params), source, seed, epoch, limit, m, codec or Codec(), virtual
        )

    def recipe(self) -> Recipe:
        return registry.create(self.builder, self.params, self.version)

    def to_json(self) -> dict[str, Any]:
        return {
            "builder": self.builder,
            "version": self.version,
            "params": dict(self.params),
            "source": self.source,
            "seed": self.seed,
            "epoch": self.epoch,
            "limit": self.limit,
            "shard_items": self.shard_items,
            "codec": self.codec.to_json(),
            "virtual": self.virtual,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: Path) -> Config:
        """Raises UserError that names `where` for anything else than what `to_json` writes."""
        try:
            codec = Codec(str(value["codec"]["name"]), int(value["codec"]["quality"]))
            found = cls(**{**value, "codec": codec})
            same = found.to_json() == dict(value)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where} holds no configuration we know ({error}); make the set again") from error
        if not same:
            raise UserError(f"{where} holds settings that this version does not know; it was made by another version")
        return found


@dataclass(frozen=True)
class Job:
    """What every worker needs to know beside its items."""

    config: Config
    out: Path
    root: Path | None = None


@dataclass(frozen=True)
class Task:
    """One shard to make."""

    job: Job
    shard: int
    items: tuple[Placed, ...]


def placed(source: Source, limit: int | None) -> Iterator[Placed]:
    """All that the source yields, numbered; at most `limit`."""
    items: Iterable[SourceItem | Rejected] = islice(source.items(), limit)
    return (Placed(position, item) for position, item in enumerate(items))


def chunks(source: Source, config: Config) -> Iterator[tuple[int, tuple[Placed, ...]]]:
    """(shard, its items), in order, one chunk in memory at a time."""
    items = placed(source, config.limit)
    for shard in range(10**9):
        chunk = tuple(islice(items, config.shard_items))
        if not chunk:
            return
        yield shard, chunk


def groups_of(recipe: Recipe, seed: int, epoch: int, item: SourceItem) -> Iterable[Group | Skip]:
    """What a recipe makes of an item. The draws depend on nothing but these arguments."""
    rng = seeds.generator("datagen", seed, epoch, recipe.name, recipe.version, item.key)
    return recipe.generate(item, rng)
