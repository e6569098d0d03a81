"""Backup while the store is in use: of SQLite a folder that is a store itself, of PostgreSQL an export."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import create_engine

from leaderboard.store.database import FILE, Database
from leaderboard.store.dump import bundles, export
from leaderboard.store.folders import copy_bundles, whole_folder


def backup(store: Database, out: Path) -> int:
    """Write a consistent copy of the store to the new folder `out`; the number of bundles. Nobody has to wait for it.

    Of SQLite, restoring it means to use `out` as the store; of PostgreSQL, to import it. Raises as `export`.
    """
    if store.is_postgres:
        count: int = export(store, out)["bundles"]
        return count
    with whole_folder(out) as part:
        with store.snapshot() as connection, sqlite3.connect(part / FILE) as target:
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)
            source.backup(target)
        target.close()
        copied = create_engine(f"sqlite:///{part / FILE}")
        with copied.connect() as connection:
            hashes = bundles(connection)
        copied.dispose()
        copy_bundles(store.folder, part, hashes)  # bundles are there before the rows that name them, and stay
    return len(hashes)
