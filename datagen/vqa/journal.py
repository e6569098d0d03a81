"""The journal: one JSON line for each answer or failure, in the order they came, appended and never rewritten.

A process killed while it writes leaves a torn last line, which the next one cuts off. The last line of a row counts.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from datagen.vqa.types import Failed, Row, Said
from fuselip.core.files import explain

SYNC_SECONDS = 1.0


class Journal:
    """What is known of each row, by its hash. In memory: 32 bytes and an offset a row; texts stay in the file.

    `append` may be called by many threads. `damaged` counts lines that could not be read; their rows are asked again.
    Hold a lock on the folder while one is open.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        self._places: dict[bytes, tuple[int, int]] = {}  # hash -> (offset of its last line, times asked)
        self._synced = time.monotonic()
        self.path, self.damaged = path, 0
        try:
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(path, "rb" if read_only else "a+b", buffering=0)  # noqa: SIM115 - see `close`
            self._end = self._load()
            if not read_only:
                self._file.truncate(self._end)
        except OSError as error:
            raise explain(error, path) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write all to the disk. Appends that come later are dropped."""
        with self._lock:
            if not self._file.closed:
                os.fsync(self._file.fileno())
                self._file.close()

    def tries(self, row: Row) -> int:
        """How often the row was asked; 0 where it never was."""
        return self._places.get(bytes.fromhex(row.hash), (0, 0))[1]

    def find(self, row: Row) -> Said | Failed | None:
        """What came of the row when it was asked last."""
        place = self._places.get(bytes.fromhex(row.hash))
        if place is None:
            return None
        with self._lock:
            self._file.seek(place[0])
            line = _read_line(self._file)
        found = _parse(line)
        assert found is not None, "a line that was read once reads again"
        return found[1]

    def append(self, row: Row, outcome: Said | Failed) -> None:
        """One write of one line. UserError when the disk is full; the line is then taken back."""
        line = (json.dumps(_entry(row, outcome), ensure_ascii=True) + "\n").encode()
        with self._lock:
            if self._file.closed:
                return
            try:
                if self._file.write(line) != len(line):
                    raise OSError(28, "no space left")
                if time.monotonic() - self._synced > SYNC_SECONDS:
                    os.fsync(self._file.fileno())
                    self._synced = time.monotonic()
            except OSError as error:
                self._file.truncate(self._end)
                raise explain(error, self.path) from error
            self._place(bytes.fromhex(row.hash), self._end)
            self._end += len(line)

    def _place(self, key: bytes, offset: int) -> None:
        self._places[key] = (offset, self._places.get(key, (0, 0))[1] + 1)

    def _load(self) -> int:
        """Where the last whole line ends."""
        end = 0
        for line in _lines(self.path):
            if not line.endswith(b"\n"):
                break
            found = _parse(line)
            if found is None:
                self.damaged += 1
            else:
                self._place(found[0], end)
            end += len(line)
        return end


def _lines(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        yield from stream


def _read_line(stream: IO[bytes]) -> bytes:
    parts = b""
    while not parts.endswith(b"\n"):
        block = stream.read(4096)
        assert block, "lines end with a line feed"
        parts += block
        head, feed, _ = parts.partition(b"\n")
        parts = head + feed
    return parts


def _entry(row: Row, outcome: Said | Failed) -> dict[str, Any]:
    entry: dict[str, Any] = {"row": row.hash, "key": row.key, "try": row.tries}
    if isinstance(outcome, Failed):
        return {**entry, "failed": outcome.reason, "detail": outcome.detail}
    entry |= {"text": outcome.text, "cut": outcome.cut}
    return {**entry, "kind": outcome.kind} if outcome.kind else entry


def _parse(line: bytes) -> tuple[bytes, Said | Failed] | None:
    try:
        value = json.loads(line)
        key = bytes.fromhex(value["row"])
        if len(key) != 32:
            return None
        if "failed" in value:
            return key, Failed(str(value["failed"]), str(value["detail"]))
        return key, Said(str(value["text"]), bool(value["cut"]), str(value.get("kind", "")))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
