"""Rows of parquet files whose images stand in them, as Hugging Face writes image columns: struct of bytes and path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.sources.inside import inside
from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import ImageRef, ParquetCell

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 16


@dataclass(frozen=True)
class Row:
    """A row's values by column, and where it stands: for `image_ref`."""

    path: Path
    number: int
    row_group: int
    row: int
    values: dict[str, Any]


def expand(pattern: str, root: Path) -> list[Path]:
    """The parquet files of a pattern, of a folder, or one file, in order of name. UserError where there are none."""
    from datagen.sources import webdataset

    if (root / pattern).is_dir():
        found = sorted((root / pattern).rglob("*.parquet"))
        if not found:
            raise UserError(f"{root / pattern} holds no .parquet files; check the spelling of --source")
        return found
    return webdataset.expand(pattern, root)


def schema(path: Path) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is no parquet file we can read ({error}); get it again") from error


def need_columns(path: Path, columns: Sequence[str]) -> None:
    """UserError unless the file has these columns."""
    known = schema(path).names
    for column in columns:
        if column not in known:
            raise UserError(f"{path} has no column {column!r}{did_you_mean(column, known)}; it has {', '.join(known)}")


def image_column(field: Any) -> str:
    """How a column holds images: "struct" (of bytes and path), "binary", or "" for none."""
    import pyarrow as pa

    if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
        return "struct"
    return "binary" if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type) else ""


def rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """All rows, a few in memory at a time. Raises UserError where the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                at = 0
                for batch in file.iter_batches(BATCH, row_groups=[group], columns=list(columns)):
                    for values in batch.to_pylist():
                        yield Row(path, number, group, at, values)
                        number, at = number + 1, at + 1
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged or cut short ({error}); get it again") from error


def image_ref(row: Row, column: str) -> ImageRef:
    """The image in a column of the row: its bytes in place, or the file that it names beside the parquet file.

    Raises UserError where there is neither, or it is empty or too large.
    """
    value = row.values[column]
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, bytes):
        check_bytes(data, column)
        inner = f"{column}.bytes" if isinstance(value, dict) else column
        place = ParquetCell(str(row.path), row.row_group, row.row, inner)
        return ImageRef(hashlib.sha256(data).hexdigest(), (), place)
    name = value.get("path") if isinstance(value, dict) else None
    if not name:
        raise UserError(f"column {column} is empty: neither bytes nor the path of an image")
    return images.ref_from_file(inside(row.path.parent, str(name)))


def check_bytes(data: bytes, what: str) -> None:
    """UserError for an empty or too large image file."""
    if not data:
        raise UserError(f"the image in {what} is empty (0 bytes)")
    if len(data) > images.MAX_BYTES:
        raise UserError(f"the image in {what} is over {images.MAX_BYTES >> 20} MiB; make it smaller")
