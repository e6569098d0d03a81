"""Export and import: a store as a folder of JSON lines and bundles; the same bytes from either engine, and back.

manifest.json holds the schema's revision, the last digest of the audit log, and rows and sha256 of each table's file.
A row is an object of the table's columns as they are stored; bytes are {"base64": ...}. It holds secrets: seeds of
challenges that are still open.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, insert, select

from fuselip.core.errors import UserError
from fuselip.core.files import atomic, read_json, sha256_file, write_json
from leaderboard.store import journal, schema
from leaderboard.store.database import Database
from leaderboard.store.folders import copy_bundles, whole_folder

LAYOUT = 1
VERSIONS = "alembic_version"
_BATCH = 200


def export(store: Database, out: Path) -> dict[str, Any]:
    """Write all of the store to `out`, as it is at this moment; the manifest. Whole or not at all.

    Raises UsageError where `out` is there, UserError where the audit log or a bundle is not as it was written.
    """
    with whole_folder(out) as part, store.snapshot() as connection:
        entries, last = journal.verify(connection)
        tables = {}
        for table in _tables(connection):
            path = part / f"{table.name}.jsonl"
            tables[table.name] = {"rows": _write(connection, table, path), "sha256": sha256_file(path)}
        hashes = bundles(connection)
        copy_bundles(store.folder, part, hashes)
        manifest = {
            "layout": LAYOUT,
            "revision": schema.current(connection),
            "journal": {"entries": entries, "last": last},
            "bundles": len(hashes),
            "tables": tables,
        }
        write_json(part / "manifest.json", manifest)
    return manifest


def restore(folder: Path, store: Database) -> int:
    """Read what `export` wrote into an empty store, of either engine; the number of bundles. Whole or not at all.

    An export of an older revision is brought up to ours afterwards. Raises UserError where a file was changed, or the
    store holds something.
    """
    manifest = _manifest(folder)
    hashes = [row["sha256"] for row in _read(folder / "submissions.jsonl")]
    with store.snapshot() as connection:
        empty = schema.current(connection) is None
    if empty:
        schema.migrate(store.engine, manifest["revision"])
    copy_bundles(folder, store.folder, hashes)
    with store.engine.begin() as connection:
        if schema.current(connection) != manifest["revision"] or not _untouched(connection):
            raise UserError("the store is not empty; import into a new one")
        for table in _tables(connection):
            if table.name not in manifest["tables"]:
                raise UserError(f"{folder} lacks the table {table.name}; export again")
            _insert(connection, table, _read(folder / f"{table.name}.jsonl"))
        found = journal.verify(connection)
        if found != manifest["journal_end"]:
            raise UserError(f"the audit log in {folder} does not end as its manifest says; export again")
    schema.migrate(store.engine)
    return len(hashes)


def bundles(connection: Connection) -> list[str]:
    """The sha256 of every bundle that the database names, sorted."""
    return sorted(connection.exec_driver_sql("SELECT sha256 FROM submissions").scalars())


def _tables(connection: Connection) -> list[Table]:
    """As they are in this database, whatever its revision; those that others point to come first."""
    held = MetaData()
    held.reflect(connection)
    return [table for table in held.sorted_tables if table.name != VERSIONS]


def _write(connection: Connection, table: Table, path: Path) -> int:
    """The rows in the order of their keys; text columns that are keys sort by code point in both engines."""
    count = 0
    with atomic(path) as stream:
        wanted = select(table).order_by(*table.primary_key.columns)
        for row in connection.execution_options(yield_per=_BATCH).execute(wanted).mappings():
            told = {name: _plain(value) for name, value in sorted(row.items(), key=lambda item: str(item[0]))}
            stream.write((json.dumps(told, ensure_ascii=True, allow_nan=False) + "\n").encode())
            count += 1
    return count


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _manifest(folder: Path) -> dict[str, Any]:
    """Raises UserError unless every file is as its manifest says."""
    manifest = read_json(folder / "manifest.json")
    try:
        known = manifest["layout"] == LAYOUT and isinstance(manifest["revision"], str)
        journal_end = (manifest["journal"]["entries"], manifest["journal"]["last"])
        tables = {str(name): str(about["sha256"]) for name, about in manifest["tables"].items()}
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{folder}/manifest.json is not of an export ({error}); name a folder that `export` wrote"
        ) from None
    if not known or not all(map(str.isidentifier, tables)) or not {"submissions", "events"} <= tables.keys():
        raise UserError(f"{folder}/manifest.json is of an export that this fuselip cannot read; export again")
    for name, sha256 in tables.items():
        path = folder / f"{name}.jsonl"
        if not path.is_file() or sha256_file(path) != sha256:
            raise UserError(f"{path} is not as it was exported; export again")
    return {**manifest, "journal_end": journal_end}


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield {name: _stored(value) for name, value in json.loads(line).items()}
            except (ValueError, AttributeError, KeyError, binascii.Error) as error:
                raise UserError(f"{path}, line {number}: {error}; export again") from error


def _stored(value: Any) -> Any:
    return base64.b64decode(value["base64"], validate=True) if isinstance(value, dict) else value


def _insert(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(islice(rows, _BATCH)):
        connection.execute(insert(table), batch)


def _untouched(connection: Connection) -> bool:
    return all(connection.execute(select(table).limit(1)).first() is None for table in _tables(connection))
