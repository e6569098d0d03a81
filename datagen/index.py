"""The index: one row a pair, in a parquet file a shard, so that a set can be searched without opening its tars."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.plan import Config
from fuselip.core.errors import UserError

SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # KEY/number of the pair
        ("key", pa.string()),  # the sample in its tar
        ("group", pa.string()),  # hash of what the group was made by
        ("set", pa.string()),
        ("shard", pa.int32()),
        ("pair", pa.int32()),
        ("left_text", pa.string()),
        ("left_image", pa.int32()),
        ("right_text", pa.string()),
        ("right_image", pa.int32()),
        ("recipe", pa.string()),
        ("version", pa.int32()),
        ("params", pa.string()),  # JSON
        ("seed", pa.int64()),
        ("epoch", pa.int64()),
        ("source", pa.string()),
        ("source_sha256", pa.string()),
        ("origin", pa.string()),
        ("credit", pa.string()),
        ("bytes", pa.int64()),  # encoded images of the whole group
    ]
)
_COPIED = ("key", "group", "recipe", "version", "params", "source", "source_sha256", "origin", "credit")


def rows(set_name: str, shard: int, record: Mapping[str, Any], size: int, config: Config) -> Iterator[dict[str, Any]]:
    """The rows of one sample, whose images have `size` bytes together."""
    common = {name: record[name] for name in _COPIED}
    common |= {"set": set_name, "shard": shard, "seed": config.seed, "epoch": config.epoch, "bytes": size}
    for number, pair in enumerate(record["pairs"]):
        yield {"id": f"{record['key']}/{number}", "pair": number, **common, **pair}


def to_parquet(rows: Sequence[Mapping[str, Any]], schema: pa.Schema = SCHEMA) -> bytes:
    """The same bytes for the same rows and version of pyarrow: a parquet file holds no time."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), buffer, compression="zstd")
    return buffer.getvalue()


def read(path: Path, schema: pa.Schema = SCHEMA) -> Iterator[dict[str, Any]]:
    """The rows of one file, a batch in memory at a time. UserError where it is damaged or has other columns."""
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema):
                raise UserError(f"{path} has other columns than it should; it was made by another version")
            for batch in file.iter_batches(batch_size=4096):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read ({error}); get it again") from error
