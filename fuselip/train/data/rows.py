"""A cache of fixed-size rows on disk by key: append-only, safe against kill -9 and for several processes at once.

`rows.bin` holds the rows back to back, `index.bin` one entry of 48 bytes a row: key (32), row number (8), checksum of
the row (4), checksum of the entry (4). An entry is written only after its row is on disk; what is torn is cut off. A
row whose bytes do not match its checksum counts as missing and is made again, the last entry of a key being the one
that is read.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fuselip.core.errors import UserError
from fuselip.core.files import append, explain, read_json, write_json

LAYOUT = 1
_ENTRY = np.dtype([("key", "V32"), ("row", "<u8"), ("checksum", "<u4"), ("own", "<u4")])
_CHECKED = _ENTRY.itemsize - 4
# New entries are kept apart until they are so many, and then sorted in with the rest.
_NEW = 4096


class RowCache:
    """Rows of one shape and type by key (32 bytes). `about` says what they are, and must agree with what is there.

    Raises UserError where the folder holds another cache or its index is damaged.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], shape: Sequence[int], dtype: str) -> None:
        self.folder = folder
        self._shape, self._dtype = tuple(shape), np.dtype(dtype)
        self._size = int(np.prod(self._shape)) * self._dtype.itemsize
        self._about = {"layout": LAYOUT, "shape": list(self._shape), "dtype": self._dtype.name, **about}
        self._entries: np.ndarray = np.empty(0, _ENTRY)
        self._prefixes = np.empty(0, np.uint64)
        self._order = np.empty(0, np.int64)
        self._new: dict[bytes, int] = {}
        self._rows: np.ndarray | None = None
        self._open()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, keys: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """(rows [n, *shape], bool [n]: which of them are here). Rows that are not are zeros."""
        found = np.zeros((len(keys), *self._shape), self._dtype)
        here = np.zeros(len(keys), bool)
        for place, entry in enumerate(self._find(keys)):
            data = None if entry < 0 else self._read(int(self._entries["row"][entry]))
            if data is not None and zlib.crc32(data.data) == self._entries["checksum"][entry]:
                found[place] = data.view(self._dtype).reshape(self._shape)
                here[place] = True
        return found, here

    def has(self, keys: Sequence[bytes]) -> np.ndarray:
        """bool [n]: which of them have an entry. Cheaper than `get`, which reads the rows and checks them."""
        return np.array(self._find(keys), np.int64) >= 0

    def put(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Append rows [n, *shape]. Raises UserError when the disk is full; the cache stays readable."""
        if not keys:
            return
        rows = np.ascontiguousarray(rows, self._dtype)
        assert rows.shape == (len(keys), *self._shape), f"rows of {self._shape}, not {rows.shape[1:]}"
        entries = np.zeros(len(keys), _ENTRY)
        try:
            with self._writing():
                first = self._trim("rows.bin", self._size)
                self._trim("index.bin", _ENTRY.itemsize)
                append(self.folder / "rows.bin", rows.tobytes())
                for number, (key, row) in enumerate(zip(keys, rows, strict=True)):
                    entries[number] = (key, first + number, zlib.crc32(row.tobytes()), 0)
                    entries["own"][number] = zlib.crc32(entries[number].tobytes()[:_CHECKED])
                append(self.folder / "index.bin", entries.tobytes())
        except OSError as error:
            raise explain(error, self.folder) from error
        self.refresh()

    def refresh(self) -> None:
        """Take in what this and other processes have appended since. Raises UserError for damaged entries."""
        path = self.folder / "index.bin"
        have = len(self._entries) * _ENTRY.itemsize
        size = path.stat().st_size if path.exists() else 0
        if size - have < _ENTRY.itemsize:
            return
        entries = np.memmap(path, _ENTRY, "r", shape=(size // _ENTRY.itemsize,))
        added = np.array(entries[len(self._entries) :])
        raw = added.tobytes()
        for number, own in enumerate(added["own"].tolist()):
            start = number * _ENTRY.itemsize
            if zlib.crc32(raw[start : start + _CHECKED]) != own:
                raise UserError(f"{path} is damaged; delete the folder {self.folder} (its contents are made again)")
        first = len(self._entries)
        self._entries = entries
        self._new |= {key.tobytes(): first + number for number, key in enumerate(added["key"])}
        if len(self._new) > max(_NEW, len(self._order) // 4):
            self._sort()

    def _open(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / "about.json"
            with self._writing():
                if not path.exists():
                    write_json(path, self._about)
        except OSError as error:
            raise explain(error, self.folder) from error
        found = read_json(path)
        if found != self._about:
            raise UserError(
                f"{self.folder} is a cache of something else ({_difference(found, self._about)}); "
                "name another folder, or delete this one"
            )
        self.refresh()
        self._sort()

    def _find(self, keys: Sequence[bytes]) -> list[int]:
        """The entry of each key, -1 where there is none."""
        wanted = np.array([int.from_bytes(key[:8], "little") for key in keys], np.uint64)
        places = np.searchsorted(self._prefixes, wanted, side="right") - 1
        found = []
        for key, place in zip(keys, places.tolist(), strict=True):
            entry = self._new.get(key, -1)
            if entry < 0 and place >= 0:
                candidate = int(self._order[place])
                entry = candidate if self._entries["key"][candidate].tobytes() == key else -1
            found.append(entry)
        return found

    def _sort(self) -> None:
        keys = np.ascontiguousarray(self._entries["key"]).view(np.uint8).reshape(-1, 32)
        prefixes = np.ascontiguousarray(keys[:, :8]).view("<u8").reshape(-1).astype(np.uint64)
        self._order = np.argsort(prefixes, kind="stable")
        self._prefixes = prefixes[self._order]
        self._new = {}

    def _read(self, row: int) -> np.ndarray | None:
        """uint8 [size] of a row, or None where the file ends before it."""
        if self._rows is None or row >= len(self._rows):
            path = self.folder / "rows.bin"
            count = path.stat().st_size // self._size if path.exists() else 0
            if row >= count:
                return None
            self._rows = np.memmap(path, np.uint8, "r", shape=(count, self._size))
        return np.array(self._rows[row])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One appender at a time, over all processes that share the folder."""
        with open(self.folder / "append.lock", "a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _trim(self, name: str, size: int) -> int:
        """Cut off what a killed writer left of a row or an entry. Returns how many whole ones there are."""
        path = self.folder / name
        length = path.stat().st_size if path.exists() else 0
        if length % size:
            os.truncate(path, length - length % size)
        return length // size


def _difference(found: Any, wanted: Mapping[str, Any]) -> str:
    if not isinstance(found, dict):
        return "its about.json is no table"
    key = next((key for key in {**found, **wanted} if found.get(key) != wanted.get(key)), "")
    return f"{key}: {found.get(key)!r} there, {wanted.get(key)!r} here"
