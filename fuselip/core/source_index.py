"""A sidecar index of file hashes: (path, size, mtime) -> sha256, so that unchanged files are not hashed again.

Only an accelerator: where the index cannot be opened or is damaged, files are hashed. Bytes are checked against their
hash again when they are decoded, so a stale entry can cause an error but never a wrong picture.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

from fuselip.core.errors import UserError
from fuselip.core.files import cache_home, sha256_file

# A file written to within the clock's granularity keeps its mtime, so what has just been written is not indexed yet.
SETTLED_SECONDS = 2.0

_lock = threading.Lock()
_connections: dict[tuple[int, Path], sqlite3.Connection | None] = {}


def sha256_of(path: Path, status: os.stat_result, offset: int = 0, size: int | None = None) -> str:
    """sha256 (hex) of the file at `path`, whose stat is `status`, or of the `size` bytes of it from `offset`.

    Raises UserError if it cannot be read.
    """
    key = (_row(path), offset, status.st_size if size is None else size, status.st_mtime_ns)
    rows = _execute("SELECT sha256 FROM sources WHERE path = ? AND start = ? AND size = ? AND mtime_ns = ?", key)
    if rows:
        return str(rows[0][0])
    try:
        digest = sha256_file(path) if size is None else _sha256_range(path, offset, size)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    if time.time() - status.st_mtime > SETTLED_SECONDS:
        _execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?)", (*key, digest))
    return digest


def forget(path: Path) -> None:
    """Drop the entries of a file whose bytes turned out to differ."""
    _execute("DELETE FROM sources WHERE path = ?", (_row(path),))


def _row(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # as bytes: a file name need not be UTF-8


def _sha256_range(path: Path, offset: int, size: int) -> str:
    with open(path, "rb") as stream:
        stream.seek(offset)
        return hashlib.sha256(stream.read(size)).hexdigest()


def _execute(statement: str, values: tuple[bytes | str | int, ...]) -> list[tuple[str]]:
    with _lock:
        connection = _connection(cache_home() / "sources.sqlite")
        if connection is not None:
            with suppress(sqlite3.Error):  # locked for long, disk full, damaged: the caller then hashes
                return connection.execute(statement, values).fetchall()
    return []


def _connection(path: Path) -> sqlite3.Connection | None:
    """One connection per process (SQLite's may not cross a fork) and index file; None where it cannot be opened."""
    key = (os.getpid(), path)
    if key not in _connections:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            made = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = OFF")
            made.execute(
                "CREATE TABLE IF NOT EXISTS sources "
                "(path BLOB, start INTEGER, size INTEGER, mtime_ns INTEGER, sha256 TEXT, "
                "PRIMARY KEY (path, start)) WITHOUT ROWID"
            )
            _connections[key] = made
        except (sqlite3.Error, OSError):
            _connections[key] = None
    return _connections[key]
