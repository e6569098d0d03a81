"""Is a stranger's parquet file safe to read? Every page header is read first: its size is known, not believed.

Arrow allocates what a page header says, and a run of one repeated value is a few bytes however long it is. So the
sizes and counts of all pages are added up here, from the headers themselves, and the longest text of each dictionary
is found, before anything is turned into rows.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ENCODINGS = frozenset({0, 2, 3, 8})
"""PLAIN, PLAIN_DICTIONARY, RLE and RLE_DICTIONARY: none of them makes a text out of parts of the one before."""


_DEEPEST = 12
_CODECS = {0: "", 6: "zstd"}
_TEXT = 6
_KINDS = frozenset({0, 1, 2, 4, 5, _TEXT})
"""Booleans, integers, floats and byte arrays, by their numbers in the format."""


@dataclass(frozen=True)
class ParquetLimits:
    """`rows` of the file, `values` of a column in all rows and `row_values` a row on average; sizes in bytes.

    `texts` bounds the texts of all rows, each taken to be as long as the longest of its part of the column."""

    rows: int = 250_000
    values: int = 8_000_000
    row_values: int = 128
    unpacked: int = 256 * 2**20
    texts: int = 2**30
    footer: int = 2**20


def examine(data: bytes, schema: Any, limits: ParquetLimits) -> str:
    """Why a parquet file in memory is not read; "" where it is safe to read. `schema`: the columns it must have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check(data, limits)
        with pq.ParquetFile(io.BytesIO(data), memory_map=False) as file:
            if not file.schema_arrow.equals(schema):
                return "does not have the columns of a predictions file"
    except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
        return f"is not a parquet file that is read ({(str(error).splitlines() or [type(error).__name__])[0][:160]})"
    return ""


def _check(data: bytes, limits: ParquetLimits) -> None:
    """Raises ValueError where rows, values, unpacked bytes or texts, as its pages say them, pass the limits."""
    rows, groups = _footer(data, limits)
    if rows > limits.rows or len(groups) > max(rows, 1):
        raise ValueError(f"it has {rows} rows in {len(groups)} groups")
    unpacked = texts = 0
    counts: Counter[int] = Counter()
    end = 4
    for group in groups:
        for place, column in enumerate(group):
            if not end <= column.start <= column.end <= len(data) - 8:
                raise ValueError("its columns overlap, or lie outside the file")
            end = column.end
            values = longest = 0
            for page in _pages(data, column.start, column.end):
                unpacked += page.unpacked
                if unpacked > limits.unpacked:
                    raise ValueError(f"it unpacks to more than {limits.unpacked} bytes")
                if page.is_dictionary and column.is_text:
                    longest = max(longest, _longest(page, column.codec))
                values += 0 if page.is_dictionary else page.values
            counts[place] += values
            texts += values * longest
    most = min(limits.values, limits.row_values * max(rows, 1))
    if max(counts.values(), default=0) > most or texts > limits.texts:
        raise ValueError(f"it unfolds to more than {most} values in a column, or {limits.texts} bytes of text")


@dataclass(frozen=True)
class _Column:
    """One column of a row group: where its pages lie, and how they are packed ("" for not at all)."""

    start: int
    end: int
    codec: str
    is_text: bool


def _footer(data: bytes, limits: ParquetLimits) -> tuple[int, list[list[_Column]]]:
    """(rows, columns of each row group), by the file's directory.

    Read here, because pyarrow ends the whole process where it is asked about a column of an unknown kind.
    """
    size = int.from_bytes(data[-8:-4], "little")
    if len(data) < 12 or data[:4] != b"PAR1" or data[-4:] != b"PAR1" or not 0 < size <= len(data) - 12:
        raise ValueError("it does not begin and end as one")
    if size > limits.footer:
        raise ValueError(f"its directory has more than {limits.footer} bytes")
    fields = _Compact(data, len(data) - 8 - size, len(data) - 8).struct()
    groups = [_known(group, dict) for group in _known(fields.get(4), list)]
    return _count(fields.get(3)), [[_column(part) for part in _known(group.get(1), list)] for group in groups]


def _column(chunk: Any) -> _Column:
    fields = _known(_known(chunk, dict).get(3), dict)
    if set(chunk) & {1, 8, 9}:
        raise ValueError("a column lies in another file, or is encrypted")
    kind, codec = _count(fields.get(1)), _count(fields.get(4))
    if codec not in _CODECS or kind not in _KINDS:
        raise ValueError("a column is of a kind, or packed in a way, that is not taken")
    starts = [_count(fields[key]) for key in (9, 11) if key in fields]
    start = min(starts, default=-1)
    return _Column(start, start + _count(fields.get(7)), _CODECS[codec], kind == _TEXT)


def _known(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError("its directory is not as one is written")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a number in it is missing or below zero")
    return value


def _longest(page: _Page, codec: str) -> int:
    """Bytes of the longest text in a dictionary page."""
    import pyarrow as pa

    plain = page.body
    if codec:
        plain = pa.Codec(codec).decompress(page.body, decompressed_size=page.unpacked, asbytes=True)
    at = longest = 0
    while at + 4 <= len(plain):
        length = int.from_bytes(plain[at : at + 4], "little")
        longest, at = max(longest, length), at + 4 + length
    if at != len(plain):
        raise ValueError("a dictionary is cut short")
    return longest


@dataclass(frozen=True)
class _Page:
    """`unpacked`: bytes that its body unpacks to, which whoever unpacks it relies on."""

    is_dictionary: bool
    unpacked: int
    values: int
    body: bytes


def _pages(data: bytes, start: int, end: int) -> Iterator[_Page]:
    """The pages of a column, by their headers. Raises ValueError for other kinds than our writer makes."""
    at = start
    while at < end:
        header = _Compact(data, at, end)
        fields = header.struct()
        kind = _count(fields.get(1))
        about = fields.get({0: 5, 2: 7}.get(kind, -1))  # a data page of version 1, or a dictionary
        if not isinstance(about, dict):
            raise ValueError("a page is of a kind that is not taken")
        if _count(about.get(2)) not in _ENCODINGS:
            raise ValueError("a page is encoded in a way that is not taken")
        packed, unpacked, values = _count(fields.get(3)), _count(fields.get(2)), _count(about.get(1))
        if header.at + packed > end:
            raise ValueError("a page leads out of its column")
        yield _Page(kind == 2, unpacked, values, data[header.at : header.at + packed])
        at = header.at + packed


class _Compact:
    """Reads one struct of Thrift's compact protocol, from `at` and never beyond `end`: {field id: value}."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("a header is nested too deeply")
        fields: dict[int, Any] = {}
        last = 0
        while kind := (byte := self._byte()) & 0x0F:
            last = last + (byte >> 4) if byte >> 4 else self._zigzag()
            if last in fields:
                raise ValueError("a header says a field twice")
            fields[last] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        readers: Mapping[int, Callable[[], Any]] = {
            1: lambda: True,
            2: lambda: False,
            3: self._byte,
            4: self._zigzag,
            5: self._zigzag,
            6: self._zigzag,
            7: lambda: self._bytes(8),
            8: lambda: self._bytes(self._varint()),
            9: lambda: self._list(depth),
            12: lambda: self.struct(depth + 1),
        }
        if kind not in readers:
            raise ValueError("a header holds what headers do not hold")
        return readers[kind]()

    def _list(self, depth: int) -> list[Any]:
        byte = self._byte()
        count, kind = byte >> 4, byte & 0x0F
        if count == 15:
            count = self._varint()
        if count > self.end - self.at:  # every element takes a byte at least
            raise ValueError("a list leads out of its header")
        kind = 3 if kind in (1, 2) else kind  # in a list, a truth value is a byte of its own
        return [self._value(kind, depth) for _ in range(count)]

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, count: int) -> bytes:
        if self.at + count > self.end:
            raise ValueError("a header leads out of its place")
        self.at += count
        return self.data[self.at - count : self.at]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number in a header is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
