"""The embedding store: whole planned batches of vectors, append-only, safe against kill -9 and several processes.

A folder holds `vectors.bin` (float32 rows, back to back) and `index.jsonl` (one line a batch: key, offset, shape,
checksum, seconds it took). A line is written only after its rows are on disk, so what the index names is whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from fuselip.core.errors import UserError
from fuselip.core.files import append, explain, write_json
from fuselip.core.types import content_hash

LAYOUT = 1


@dataclass(frozen=True)
class Entry:
    """Where a batch lies in vectors.bin, and what it cost to make."""

    offset: int
    rows: int
    dim: int
    checksum: int
    seconds: float

    @property
    def size(self) -> int:
        return 4 * self.rows * self.dim


class EmbeddingStore:
    """Vectors of one encoder, keyed by planned batch. Use as a context manager; `about` is written beside them."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self._about = dict(about)
        self._entries: dict[str, Entry] = {}
        self._lease: IO[bytes] | None = None

    def __enter__(self) -> EmbeddingStore:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lease = open(self.folder / "in-use", "a+b")
            fcntl.flock(self._lease, fcntl.LOCK_SH)  # prune takes it exclusively, and so leaves live folders alone
            if not (self.folder / "about.json").exists():
                write_json(self.folder / "about.json", {"layout": LAYOUT, **self._about})
            os.utime(self.folder)
        except OSError as error:
            raise explain(error, self.folder) from error
        self._entries = self._read_index()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def seconds(self, key: str) -> float:
        """What the batch cost when it was encoded, whichever run paid for it."""
        return self._entries[key].seconds

    def get(self, key: str) -> np.ndarray | None:
        """float32 [N, D], or None where the batch is not stored or its bytes no longer match their checksum."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        with open(self.folder / "vectors.bin", "rb") as stream:
            stream.seek(entry.offset)
            data = stream.read(entry.size)
        if len(data) != entry.size or zlib.crc32(data) != entry.checksum:
            del self._entries[key]
            return None
        return np.frombuffer(data, np.float32).reshape(entry.rows, entry.dim)

    def put(self, key: str, vectors: np.ndarray, seconds: float) -> None:
        """Append a batch (float32 [N, D]). Raises UserError when the disk is full; the store stays readable."""
        data = np.ascontiguousarray(vectors, np.float32).tobytes()
        try:
            with self._writing():
                offset = append(self.folder / "vectors.bin", data)
                entry = Entry(offset, vectors.shape[0], vectors.shape[1], zlib.crc32(data), seconds)
                line = {"batch": key, **entry.__dict__}
                append(self.folder / "index.jsonl", (json.dumps(line) + "\n").encode())
        except OSError as error:
            raise explain(error, self.folder) from error
        self._entries[key] = entry

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One appender at a time, over all processes that share the folder."""
        with open(self.folder / "append.lock", "a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _read_index(self) -> dict[str, Entry]:
        """Every whole line whose rows lie inside vectors.bin. A torn last line (a kill while appending) is cut off."""
        path, vectors = self.folder / "index.jsonl", self.folder / "vectors.bin"
        if not path.exists() or not vectors.exists():
            return {}
        with self._writing():
            data = path.read_bytes()
            if whole := len(data) - (data.rfind(b"\n") + 1):
                os.truncate(path, len(data) - whole)
        available, entries = vectors.stat().st_size, {}
        for line in data.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue
            try:
                row = json.loads(line)
                key = row.pop("batch")
                entry = Entry(**row)
            except (ValueError, TypeError, KeyError, AttributeError):
                raise UserError(
                    f"{path} is damaged; delete the folder {self.folder} (embeddings are made again)"
                ) from None
            if entry.offset >= 0 and entry.rows > 0 and entry.dim > 0 and entry.offset + entry.size <= available:
                entries[key] = entry
        return entries


def shared_store(home: Path, fingerprint: str, about: Mapping[str, Any]) -> EmbeddingStore:
    """The store that all runs of one fingerprinted encoder share, under `home`/embeddings."""
    return EmbeddingStore(home / "embeddings" / content_hash([LAYOUT, fingerprint])[:32], about)


def usage(home: Path) -> list[tuple[Path, int, float]]:
    """(folder, bytes, last use) of every shared store, oldest use first."""
    root = home / "embeddings"
    rows = []
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.is_dir():
            size = sum(part.stat().st_size for part in folder.iterdir() if part.is_file())
            rows.append((folder, size, folder.stat().st_mtime))
    return sorted(rows, key=lambda row: row[2])


def prune(home: Path, max_bytes: int) -> list[tuple[Path, int]]:
    """Delete the least recently used stores until at most `max_bytes` remain. Stores in use are left alone."""
    rows = usage(home)
    total, deleted = sum(size for _, size, _ in rows), []
    for folder, size, _ in rows:
        if total <= max_bytes:
            break
        with open(folder / "in-use", "a+b") as lease:
            try:
                fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder)
        deleted.append((folder, size))
        total -= size
    return deleted
