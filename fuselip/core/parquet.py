"""Single cells of parquet files: image bytes that lie in a compressed column, which no byte range can name.

A column of one row group is decoded as a whole, so the last few stay decoded: neighbouring rows are read together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from fuselip.core.errors import UserError
from fuselip.core.types import ParquetCell

if TYPE_CHECKING:
    import pyarrow as pa

# Two columns (an edit's two images) of the row group being read; publishers cut row groups at some 100 images.
KEPT = 2


def read_cell(cell: ParquetCell) -> bytes:
    """The bytes of a cell. Raises UserError where file, column, row or value is not there."""
    values = _column(cell.path, cell.row_group, cell.column)
    if not 0 <= cell.row < len(values):
        raise UserError(f"{cell.path}: row group {cell.row_group} has no row {cell.row}; it was listed of another file")
    value = values[cell.row].as_py()
    if not isinstance(value, bytes):
        raise UserError(f"{cell.path}: {cell.column} of row {cell.row} holds no bytes; leave the row out")
    return value


@lru_cache(maxsize=KEPT)
def _column(path: str, row_group: int, column: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            name, *inner = column.split(".")
            values = file.read_row_group(row_group, columns=[column]).column(name)
            return pc.struct_field(values, inner) if inner else values
    except FileNotFoundError as error:
        raise UserError(f"{path} is gone since it was listed; restore it or run the command again") from error
    except (pa.ArrowException, OSError, KeyError, IndexError) as error:
        raise UserError(f"{path}: {column} of row group {row_group} cannot be read ({error}); get it again") from error
