"""The index of negatives: for an item's key, what stands against it. Made in one pass over a source, read by a recipe.

A recipe sees one item at a time, but balance and nearness are properties of a set; the index carries them. It is a
SQLite file. Images are named by where they are: relative to the index's folder where they lie below it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from datagen import items
from datagen.sources.types import SourceItem
from fuselip.core.errors import UserError
from fuselip.core.files import explain, fsync_folder
from fuselip.core.shards import compact
from fuselip.core.types import Scalar

SCHEMA = 1


def write(path: Path, rows: Iterable[tuple[str, Mapping[str, Any]]], settings: Mapping[str, Scalar]) -> str:
    """Write (item key, row) pairs, in order; `settings` say how they were made. Gives the sha256 of all rows.

    The file appears whole or not at all. Raises UserError where the disk is full or the folder cannot be written.
    """
    digest = hashlib.sha256(compact(dict(settings)).encode())
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        with closing(sqlite3.connect(temporary, isolation_level=None)) as made:
            made.execute(
                "CREATE TABLE rows (key TEXT, number INTEGER, value TEXT, PRIMARY KEY (key, number)) WITHOUT ROWID"
            )
            made.execute("CREATE TABLE meta (schema INTEGER, sha256 TEXT, settings TEXT)")
            made.execute("BEGIN")
            for number, (key, row) in enumerate(rows):
                value = compact(dict(row))
                digest.update(f"{key}\t{value}\n".encode())
                made.execute("INSERT INTO rows VALUES (?, ?, ?)", (key, number, value))
            made.execute("INSERT INTO meta VALUES (?, ?, ?)", (SCHEMA, digest.hexdigest(), compact(dict(settings))))
            made.execute("COMMIT")
        os.replace(temporary, path)
        fsync_folder(path.parent)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain(error, path) from error
        if isinstance(error, sqlite3.OperationalError):
            raise UserError(f"{path} cannot be written ({error}); is the disk full?") from error
        raise
    return digest.hexdigest()


class Index:
    """An index to read: `rows(key)`, `sha256` (of its content), `settings` (how it was made)."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where the file is missing, is no index of ours, or of another version."""
        self.path = path
        if not path.is_file():
            raise UserError(f"the index {path} does not exist; make it first, or check the spelling")
        try:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            schema, self.sha256, settings = self._connection.execute("SELECT * FROM meta").fetchone()
            self.settings: Mapping[str, Scalar] = json.loads(settings)
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise UserError(f"{path} is no index of negatives ({error}); make it again") from error
        if schema != SCHEMA:
            raise UserError(f"{path} has schema {schema}, and this version reads {SCHEMA}; make it again")

    def rows(self, key: str) -> Iterator[dict[str, Any]]:
        """What stands against the item of that key, in the order of writing; nothing for an unknown one."""
        try:
            query = "SELECT value FROM rows WHERE key = ? ORDER BY number"
            for (value,) in self._connection.execute(query, (key,)).fetchall():
                yield json.loads(value)
        except (sqlite3.Error, ValueError) as error:
            raise UserError(f"{self.path} is damaged ({error}); make it again") from error

    def item(self, value: Mapping[str, Any]) -> SourceItem:
        """An item as `peer` wrote it."""
        absolute = os.path.isabs(str(value.get("image", {}).get("path", "")))
        return items.from_json(value, None if absolute else self.path.parent)


def peer(item: SourceItem, folder: Path) -> dict[str, Any]:
    """An item's key, image and captions as JSON, for an index in `folder`. UserError for an image held in memory."""
    return items.to_json(SourceItem(item.key, item.image, item.captions, item.origin, item.credit), folder)
