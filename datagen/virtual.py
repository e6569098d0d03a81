"""Virtual sets: rows that say how to make groups, and the function that makes them. Nothing is drawn ahead.

A row holds the recipe's name, version and parameters, the seed, the epoch, and the whole source item (where its bytes
are and their sha256). The epoch is part of the seed: `realise(row, epoch)` redraws, and is the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen import index, items
from datagen.plan import Config, groups_of
from datagen.recipes import registry
from datagen.sources.types import SourceItem
from datagen.types import Recipe, Skip
from fuselip.core.errors import UserError
from fuselip.core.shards import compact
from fuselip.core.types import Group

SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("key", pa.string()),
        ("source_sha256", pa.string()),
        ("recipe", pa.string()),
        ("version", pa.int32()),
        ("params", pa.string()),  # JSON
        ("seed", pa.int64()),
        ("epoch", pa.int64()),
        ("item", pa.string()),  # JSON
    ]
)


def row_of(position: int, item: SourceItem, config: Config, root: Path | None) -> dict[str, Any]:
    """The row of an item; file names below `root` are relative to it, so that the set can move with its images."""
    return {
        "position": position,
        "key": item.key,
        "source_sha256": item.image.source,
        "recipe": config.builder,
        "version": config.version,
        "params": compact(dict(config.params)),
        "seed": config.seed,
        "epoch": config.epoch,
        "item": compact(items.to_json(item, root)),
    }


def to_parquet(rows: list[dict[str, Any]]) -> bytes:
    return index.to_parquet(rows, SCHEMA)


def read(out: Path) -> Iterator[dict[str, Any]]:
    """All rows of a virtual set, in order."""
    files = sorted((out / "virtual").glob("*.parquet"))
    if not files:
        raise UserError(f"{out} holds no virtual rows; build it with --virtual")
    for path in files:
        yield from index.read(path, SCHEMA)


def realise(row: Mapping[str, Any], epoch: int | None = None, root: Path | None = None) -> Iterator[Group | Skip]:
    """The groups of a row, drawn for `epoch` (default: the row's own). Their images load lazily.

    `root` is where the row's file names start, and what they must stay inside. Raises UserError for a recipe or a
    version of one that is not installed, and for damaged rows.
    """
    try:
        recipe = _recipe(row["recipe"], row["version"], row["params"])
        item = items.from_json(json.loads(row["item"]), root)
    except (KeyError, TypeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"a virtual row is not as it should be ({error!r}); make the set again") from error
    return iter(groups_of(recipe, row["seed"], row["epoch"] if epoch is None else epoch, item))


@lru_cache(maxsize=16)
def _recipe(name: str, version: int, params: str) -> Recipe:
    return registry.create(name, json.loads(params), version)
