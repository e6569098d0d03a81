"""The record of what was fetched (fetched.json in the data folder): where each file is from, and its sha256."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.unpack import tree_hash
from fuselip.core.errors import UserError
from fuselip.core.files import read_json, sha256_file, write_json

NAME = "fetched.json"


@dataclass(frozen=True)
class Entry:
    """One file or folder. `sha256` is that of what lies there (of a folder: `unpack.tree_hash`), `bytes` its size.

    `download_sha256` is that of what came over the wire; it differs where that was an archive.
    """

    url: str
    sha256: str
    bytes: int
    files: int
    download_sha256: str
    when: str
    etag: str = ""


class Record:
    """Entries by the path of the file under the data folder, written after every change."""

    def __init__(self, root: Path) -> None:
        """Raises UserError for a record that was edited or is damaged."""
        self.path = root / NAME
        found: Any = read_json(self.path) if self.path.exists() else {}
        if not isinstance(found, dict):
            raise UserError(f"{self.path} is no record of fetched files; move it away, and fetch again")
        self.entries = {path: _entry(value, f"{self.path}, {path!r}") for path, value in found.items()}

    def get(self, path: str) -> Entry | None:
        return self.entries.get(path)

    def add(self, path: str, entry: Entry) -> None:
        self.entries[path] = entry
        write_json(self.path, {name: asdict(self.entries[name]) for name in sorted(self.entries)})


def difference(place: Path, entry: Entry, quick: bool = False) -> str:
    """How what lies at `place` is not what was fetched, in words; "" where it is. `quick`: by number and size alone."""
    files = dict(_walk(place))
    size = sum(path.stat().st_size for path in files.values())
    if len(files) != entry.files:
        return f"holds {len(files)} files, not the {entry.files} fetched"
    if size != entry.bytes:
        return f"has {size} bytes, not the {entry.bytes} fetched"
    if quick:
        return ""
    hashes = {name: sha256_file(path) for name, path in files.items()}
    found = hashes[""] if place.is_file() else tree_hash(hashes)
    return "" if found == entry.sha256 else "is not what was fetched: its sha256 is another"


def _walk(place: Path) -> Iterator[tuple[str, Path]]:
    if place.is_file():
        yield "", place
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder) / name
            yield path.relative_to(place).as_posix(), path


def _entry(value: Any, where: str) -> Entry:
    kinds = {field.name: int if field.type == "int" else str for field in fields(Entry)}
    if not isinstance(value, dict) or set(value) != set(kinds):
        raise UserError(f"{where}: not an entry of ours; it was edited or is of another version")
    if wrong := next((name for name, kind in kinds.items() if type(value[name]) is not kind), None):
        raise UserError(f"{where}: {wrong!r} is not a {kinds[wrong].__name__}; it was edited")
    return Entry(**value)
