"""What became of each row: img2dataset's shards read back, its messages as short reasons, and the manifest."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datagen.fetch import guard
from fuselip.core.archive import Member, members, read_member
from fuselip.core.errors import UserError
from fuselip.core.files import atomic, write_bytes
from fuselip.core.images import MAX_BYTES

OK, REFUSED, UNTRIED = "success", "refused", "untried"
TRANSIENT = ("timeout", "dns", "connection", "http-408", "http-425", "http-429", "http-5xx")
ROWS = pa.schema([("row", pa.int64()), ("reason", pa.string()), ("key", pa.string()), ("sha256", pa.string())])
MANIFEST = pa.schema(
    [
        ("row", pa.int64()),
        ("url", pa.string()),
        ("status", pa.string()),
        ("shard", pa.string()),  # file name of the tar; empty where there is no image
        ("key", pa.string()),  # the sample in it
        ("sha256", pa.string()),  # of the image file in the tar
        ("attempts", pa.int32()),
    ]
)
_HTTP = re.compile(r"HTTP Error (\d{3})")
_LED_OUT = "Redirection to url"  # to another scheme; urllib words it as an HTTP error
_MESSAGES = (
    (_LED_OUT, REFUSED),
    (guard.NOT_PUBLIC, REFUSED),
    ("unknown url type", REFUSED),
    (guard.TOO_LARGE, "too-large"),
    (guard.TOO_SLOW, "timeout"),
    ("timed out", "timeout"),
    ("Name or service not known", "dns"),
    ("name resolution", "dns"),
    ("No address associated", "dns"),
    ("nodename nor servname", "dns"),
    ("X-Robots-Tag", "opted-out"),
    ("CERTIFICATE_VERIFY_FAILED", "certificate"),
)


def reason_of(status: str, message: str) -> str:
    """A short fixed reason; "connection" stands for all that can go wrong on the way."""
    if status == OK:
        return OK
    if status == "failed_to_resize":
        return "not-an-image"
    if (found := _HTTP.search(message)) and _LED_OUT not in message:
        return f"http-{found[1][0]}xx" if found[1][0] == "5" else f"http-{found[1]}"
    return next((reason for part, reason in _MESSAGES if part in message), "connection")


def collect(out: Path) -> None:
    """Write rows/NNNNN.parquet for every shard that img2dataset has finished since; remove what it left unfinished."""
    for leftover in (out / "shards").glob("_tmp/*"):
        leftover.unlink()
    known = {path.stem for path in (out / "rows").glob("*.parquet")}
    for table in sorted((out / "shards").glob("*.parquet")):
        if table.stem in known:
            continue
        tar, stats = table.with_suffix(".tar"), table.with_name(f"{table.stem}_stats.json")
        if _finished(stats):
            _distil(out, table, tar)
        else:
            for path in (table, tar, stats):
                path.unlink(missing_ok=True)


def _finished(stats: Path) -> bool:
    try:
        return isinstance(json.loads(stats.read_text("utf-8")), dict)
    except (OSError, ValueError):
        return False


def _distil(out: Path, table: Path, tar: Path) -> None:
    hashes = {}
    for member in members(tar):
        if not isinstance(member, Member):
            raise UserError(f"{tar}: {member.name}: {member.reason}; delete {table.stem}* there and fetch again")
        key, _, extension = member.name.rpartition(".")
        if extension not in ("txt", "json"):
            hashes[key] = hashlib.sha256(read_member(tar, member, MAX_BYTES)).hexdigest()
    found = []
    for each in pq.read_table(table, columns=["row", "status", "error_message", "key"]).to_pylist():
        reason = reason_of(each["status"], each["error_message"] or "")
        if reason == OK and each["key"] not in hashes:
            raise UserError(f"{tar} lacks {each['key']}; delete {table.stem}* there and fetch again")
        found.append({"row": each["row"], "reason": reason, "key": each["key"], "sha256": hashes.get(each["key"], "")})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(found, ROWS), buffer, compression="zstd")
    write_bytes(out / "rows" / table.name, buffer.getvalue())


class State:
    """Where every row stands. Memory: about 50 bytes a row."""

    def __init__(self, out: Path) -> None:
        self.out = out
        with pq.ParquetFile(out / "list.parquet") as file:
            count = file.metadata.num_rows
            refused = file.read(columns=["refused"]).column(0).to_numpy(zero_copy_only=False) != ""
        self.reasons = [UNTRIED, OK, REFUSED]
        self.reason = np.where(refused, 2, 0).astype(np.uint8)
        self.attempts = np.zeros(count, np.uint8)
        self.shard = np.full(count, -1, np.int32)
        self._key = np.zeros(count, np.int64)
        self._width = 0
        self._sha256 = np.zeros((count, 32), np.uint8)
        self._read: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that have been finished since."""
        for path in sorted((self.out / "rows").glob("*.parquet")):
            if path.name not in self._read:
                self._add(path)
                self._read.add(path.name)

    def __len__(self) -> int:
        return len(self.reason)

    def _add(self, path: Path) -> None:
        for each in pq.read_table(path).to_pylist():
            row = each["row"]
            self.attempts[row] = min(int(self.attempts[row]) + 1, 255)
            if self.reasons[self.reason[row]] == OK:
                continue
            if each["reason"] not in self.reasons:
                self.reasons.append(each["reason"])
            self.reason[row] = self.reasons.index(each["reason"])
            if each["reason"] == OK:
                self.shard[row], self._key[row] = int(path.stem), int(each["key"])
                self._width = len(each["key"])
                self._sha256[row] = np.frombuffer(bytes.fromhex(each["sha256"]), np.uint8)

    def where(self, *reasons: str) -> np.ndarray:
        """Numbers of the rows that stand so."""
        codes = [self.reasons.index(reason) for reason in reasons if reason in self.reasons]
        return np.flatnonzero(np.isin(self.reason, codes))

    def counts(self) -> Counter[str]:
        found = np.bincount(self.reason, minlength=len(self.reasons))
        return Counter({reason: int(count) for reason, count in zip(self.reasons, found, strict=True) if count})

    def write_manifest(self, path: Path) -> None:
        """A row for every row of the list, in its order."""
        with atomic(path) as stream, pq.ParquetWriter(stream, MANIFEST, compression="zstd") as writer:
            for batch in listed(self.out, ["row", "url"]):
                rows = [self._entry(row, url) for row, url in zip(*batch.to_pydict().values(), strict=True)]
                writer.write_table(pa.Table.from_pylist(rows, MANIFEST))

    def _entry(self, row: int, url: str) -> dict[str, object]:
        status = self.reasons[self.reason[row]]
        there = status == OK
        return {
            "row": row,
            "url": url,
            "status": status,
            "shard": f"{self.shard[row]:05d}.tar" if there else "",
            "key": f"{self._key[row]:0{self._width}d}" if there else "",
            "sha256": self._sha256[row].tobytes().hex() if there else "",
            "attempts": int(self.attempts[row]),
        }


def listed(out: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The numbered list, a batch in memory at a time."""
    with pq.ParquetFile(out / "list.parquet") as file:
        yield from file.iter_batches(batch_size=65_536, columns=columns)
