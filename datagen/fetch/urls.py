"""Reading a list of URLs and captions, whatever its layout, into one parquet file of numbered rows.

CC3M's list is caption<TAB>URL, CC12M's is URL<TAB>caption, both without a header row; others are CSV, TSV or parquet
with named columns.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.fetch.guard import Limits, refusal
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import atomic
from fuselip.core.plugins import did_you_mean

SCHEMA = pa.schema([("row", pa.int64()), ("url", pa.string()), ("caption", pa.string()), ("refused", pa.string())])
BATCH = 65_536
_URL_NAMES = ("url", "image_url", "img_url")
_CAPTION_NAMES = ("caption", "text", "alt_text", "alt")


def number(source: Path, out: Path, limits: Limits, url_col: str = "", caption_col: str = "") -> int:
    """Write `out` with a row for every row of `source`, refused ones marked; returns how many. Memory does not grow."""
    count = 0
    with atomic(out) as stream, pq.ParquetWriter(stream, SCHEMA, compression="zstd") as writer:
        batch: list[tuple[int, str, str, str]] = []
        for url, caption in rows(source, url_col, caption_col):
            batch.append((count, url, caption, refusal(url, limits)))
            count += 1
            if len(batch) == BATCH:
                writer.write_table(_table(batch))
                batch = []
        if batch:
            writer.write_table(_table(batch))
        if not count:
            raise UserError(f"{source} holds no rows")
    return count


def rows(source: Path, url_col: str = "", caption_col: str = "") -> Iterator[tuple[str, str]]:
    """(url, caption) of every row, in order. Raises UserError for a file that cannot be read so."""
    if not source.is_file():
        raise UserError(
            f"{source} is no file. CC3M's list comes from ai.google.com/research/ConceptualCaptions/download, CC12M's "
            "from github.com/google-research-datasets/conceptual-12m"
        )
    if source.suffix == ".parquet":
        return _parquet(source, url_col, caption_col)
    if source.suffix in (".tsv", ".csv", ".txt"):
        return _text(source, url_col, caption_col)
    raise UsageError(f"{source}: a list is a .tsv, .csv, .txt or .parquet file")


def _table(batch: list[tuple[int, str, str, str]]) -> pa.Table:
    columns = [list(column) for column in zip(*batch, strict=True)]
    return pa.table(dict(zip(SCHEMA.names, columns, strict=True)), SCHEMA)


def _parquet(source: Path, url_col: str, caption_col: str) -> Iterator[tuple[str, str]]:
    try:
        with pq.ParquetFile(source) as file:
            at = _columns(file.schema_arrow.names, url_col, caption_col, source)
            names = [file.schema_arrow.names[each] for each in at]
            for batch in file.iter_batches(batch_size=BATCH, columns=list(dict.fromkeys(names))):
                columns = [batch.column(batch.schema.get_field_index(name)).to_pylist() for name in names]
                for values in zip(*columns, strict=True):
                    yield str(values[0] or "").strip(), str(values[1] or "").strip() if len(values) > 1 else ""
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{source} cannot be read ({error}); get it again") from error


def _text(source: Path, url_col: str, caption_col: str) -> Iterator[tuple[str, str]]:
    csv.field_size_limit(min(sys.maxsize, 1 << 24))
    try:
        with open(source, encoding="utf-8-sig", newline="") as stream:
            tabs = source.suffix != ".csv"
            reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(stream)
            first = next(reader, [])
            links = [
                place for place, cell in enumerate(first) if cell.strip().lower().startswith(("http://", "https://"))
            ]
            if links and not url_col:  # no header row: the cell that is a URL says which column
                at = [links[0], *[place for place in range(len(first)) if place != links[0]][:1]]
                yield _pick(first, at)
            else:
                at = _columns([cell.strip() for cell in first], url_col, caption_col, source)
            for row in reader:
                if row:
                    yield _pick(row, at)
    except UnicodeDecodeError as error:
        raise UserError(f"{source} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{source} cannot be read ({error}); check that it is a table of URLs") from error


def _pick(row: list[str], at: list[int]) -> tuple[str, str]:
    """A row with too few cells has an empty URL, which is refused and so counted."""
    cells = [row[place].strip() if place < len(row) else "" for place in at]
    return cells[0], cells[1] if len(cells) > 1 else ""


def _columns(names: list[str], url_col: str, caption_col: str, source: Path) -> list[int]:
    """Places of the URL and, where there is one, the caption."""
    lower = [name.lower() for name in names]

    def place(wanted: str, known: tuple[str, ...]) -> int:
        if wanted and wanted not in names:
            raise UsageError(
                f"{source} has no column {wanted!r}{did_you_mean(wanted, names)}; it has {', '.join(names)}"
            )
        return names.index(wanted) if wanted else next((lower.index(name) for name in known if name in lower), -1)

    url, caption = place(url_col, _URL_NAMES), place(caption_col, _CAPTION_NAMES)
    if url < 0:
        raise UsageError(
            f"{source}: which column holds the URLs? It has {', '.join(names[:8]) or 'none'}; name it with --url-col"
        )
    return [url] if caption < 0 else [url, caption]
