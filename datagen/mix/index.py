"""The index of a mix: one parquet file with a row a shard, and the mix's settings in its metadata.

A shard's groups are numbered, so the rows say all: group i of the mix is sample i - (groups before) of its shard. An
index of 15 million groups has some 15 thousand rows. Folders are relative to the index, so both can move together.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.mix.config import MixConfig
from datagen.mix.sets import Built, Chunk
from fuselip.core.errors import UserError
from fuselip.core.files import write_bytes

SCHEMA = 1
KEY = b"fuselip.mix"
COLUMNS = pa.schema(
    [
        ("set", pa.string()),
        ("shape", pa.string()),  # the shard set in the folder, or "virtual"
        ("file", pa.string()),  # relative to the set's folder
        ("groups", pa.int64()),  # source items where virtual
        ("pairs", pa.int64()),  # -1 where virtual: drawn every epoch
        ("unimodal", pa.int64()),
        ("sha256", pa.string()),
    ]
)
assert [field.name for field in fields(Chunk)] == COLUMNS.names
# Groups read one after the other from one shard: large, as opening a shard reads all its headers; small in a small mix,
# so that workers and ranks get even shares.
BLOCKS = 256
MIN_BLOCK, MAX_BLOCK = 32, 1024


@dataclass(frozen=True)
class SetEntry:
    """A set in the index. `manifest` is the sha256 of its manifest.json, so that a changed set is noticed."""

    name: str
    folder: str
    weight: float
    manifest: str
    virtual: bool
    data_root: str | None = None


@dataclass(frozen=True)
class Index:
    name: str
    seed: int
    preset: str
    block: int
    sets: Mapping[str, SetEntry]
    left_out: Sequence[str]
    chunks: Sequence[Chunk]


def write(path: Path, config: MixConfig, found: Sequence[Built], left_out: Sequence[str]) -> Index:
    """Write the index atomically; equal sets give equal bytes."""
    chunks = [chunk for each in found for chunk in each.chunks]
    total = sum(chunk.groups for chunk in chunks)
    block = min(max(total // BLOCKS, MIN_BLOCK), MAX_BLOCK)
    sets = [_entry(each, path.absolute().parent) for each in found]
    value = {
        "schema": SCHEMA,
        "name": config.name,
        "seed": config.seed,
        "preset": config.preset,
        "block": block,
        "sets": [each.__dict__ for each in sets],
        "left_out": list(left_out),
    }
    rows = [dict(zip(COLUMNS.names, astuple(chunk), strict=True)) for chunk in chunks]
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    table = pa.Table.from_pylist(rows, COLUMNS.with_metadata({KEY: text.encode()}))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())
    return Index(
        config.name, config.seed, config.preset, block, {each.name: each for each in sets}, left_out, tuple(chunks)
    )


def read(path: Path) -> Index:
    """Raises UserError where the file is missing, damaged or no index of a mix."""
    try:
        with pq.ParquetFile(path) as file:
            text = (file.schema_arrow.metadata or {}).get(KEY)
            if text is None:
                raise UserError(f"{path} is no index of a mix; make one with `fuselip-datagen mix`")
            value = json.loads(text)
            if value["schema"] != SCHEMA or not file.schema_arrow.equals(COLUMNS):
                raise UserError(f"{path} is of another schema than {SCHEMA}; make it again with `fuselip-datagen mix`")
            chunks = tuple(Chunk(**row) for row in file.read().to_pylist())
        sets = {each["name"]: SetEntry(**each) for each in value["sets"]}
        if any(chunk.set not in sets or chunk.groups < 1 or not _inside(chunk.file) for chunk in chunks):
            raise ValueError("a row names no set, no groups, or a file elsewhere")
        return Index(value["name"], value["seed"], value["preset"], value["block"], sets, value["left_out"], chunks)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; make it with `fuselip-datagen mix`") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); make it again with `fuselip-datagen mix`") from error


def _entry(found: Built, folder: Path) -> SetEntry:
    config = found.config

    def relative(path: Path) -> str:
        return Path(os.path.relpath(path.absolute(), folder)).as_posix()

    root = relative(config.data_root) if config.data_root else None
    return SetEntry(config.name, relative(config.path), config.weight, found.manifest, found.virtual, root)


def _inside(name: Any) -> bool:
    return isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts
