"""The database behind a store: one place that opens it, and the two kinds of transaction, reading and writing."""

from __future__ import annotations

import fcntl
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import explain
from leaderboard.store import journal, schema
from leaderboard.store.models import Event

FILE = "leaderboard.db"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ABANDONED = 3600
"""Seconds after which an upload that nobody writes to any more was killed."""


class Database:
    """An engine and the folder of the bundles."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self._reader = engine.execution_options(
            **({"isolation_level": "REPEATABLE READ"} if self.is_postgres else {"reading": True})
        )

    @classmethod
    def open(cls, where: str | Path) -> Self:
        """A store by its folder (SQLite), or by URL: postgresql://USER@HOST/NAME?files=FOLDER, sqlite:///FILE.

        An empty one is set up. Raises UserError where it cannot be reached or is of another revision (`migrate`).
        """
        store = cls.at(where)
        try:
            with store._one_opener():
                with store.engine.connect() as connection:
                    empty = schema.current(connection) is None
                if empty:
                    schema.migrate(store.engine)
            with store._reader.connect() as connection:
                schema.check(connection)
        except DBAPIError as error:
            raise UserError(f"the store {shown(where)} cannot be opened: {_first_line(error)}") from error
        store._sweep()
        return store

    @classmethod
    def at(cls, where: str | Path) -> Self:
        """As `open`, but whatever the revision, and with nothing set up but folders: for `migrate` and `import`."""
        url, folder = locate(where)
        try:
            (folder / "bundles").mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise explain(error, folder) from error
        return cls(_engine(url), folder)

    @property
    def is_postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent view: what is committed meanwhile is not seen. It waits for no writer."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As `reading`, without models."""
        with self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: all of the block or, after an error, nothing of it."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def journal(self, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """An entry of the audit log on its own; changes of the store write theirs themselves."""
        with self.engine.begin() as connection:
            journal.append(connection, actor, action, subject, detail or {})

    def events(self, subject: str | None = None) -> Sequence[Event]:
        """The audit log, oldest first; of one submission, token or challenge."""
        wanted = select(Event).order_by(Event.number)
        with self.reading() as session:
            return session.scalars(wanted if subject is None else wanted.where(Event.subject == subject)).all()

    def verify_journal(self) -> tuple[int, str]:
        """(number of entries, last digest); UserError where the log was changed."""
        with self.snapshot() as connection:
            return journal.verify(connection)

    def bundle_path(self, sha256: str) -> Path:
        """Where a bundle lies. It is named by its hash, so that nothing a submitter says is ever a path."""
        if not _SHA256.fullmatch(sha256):
            raise UserError(f"{sha256[:80]!r} is not the sha256 of a bundle")
        return self.folder / "bundles" / f"{sha256}.zip"

    @contextmanager
    def _one_opener(self) -> Iterator[None]:
        """Only one process sets a new store up; a killed one frees the lock."""
        with open(self.folder / "open.lock", "a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not self.is_postgres:  # kept by the file; later connections need not ask for it
                with self.engine.connect() as connection:
                    connection.connection.cursor().execute("PRAGMA journal_mode=WAL")
            yield

    def _sweep(self) -> None:
        """Delete what killed uploads left. Named files stay, whether or not a row names them yet."""
        for path in (self.folder / "bundles").glob(".*.part"):
            try:
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()
            except FileNotFoundError:
                continue


def locate(where: str | Path) -> tuple[URL, Path]:
    """The database's URL and the folder of files. Raises UsageError where one of them is not told."""
    if isinstance(where, Path) or "://" not in where:
        folder = Path(where)
        return URL.create("sqlite", database=str(folder / FILE)), folder
    try:
        url = make_url(where)
    except ArgumentError as error:
        raise UsageError(f"{shown(where)} is no URL of a database") from error
    kind = url.drivername.partition("+")[0]
    if kind == "sqlite":
        if not url.database or url.database == ":memory:":
            raise UsageError("a store needs a file: sqlite:///FOLDER/leaderboard.db, or just FOLDER")
        return url, Path(url.database).parent
    if kind not in ("postgres", "postgresql"):
        raise UsageError(f"{shown(where)}: a store is a folder, or a database of sqlite or postgresql, not of {kind}")
    files = url.query.get("files")
    if not isinstance(files, str):
        raise UsageError(f"{shown(where)} does not say where bundles are kept; add ?files=FOLDER to the URL")
    return url.set(drivername="postgresql+psycopg").difference_update_query(["files"]), Path(files)


def shown(where: str | Path) -> str:
    """A store's name without its password."""
    return re.sub(r"(?<=://)[^/@\s]*@", "***@", str(where))


def _engine(url: URL) -> Engine:
    postgres = url.drivername.startswith("postgresql")
    try:
        engine = create_engine(url, pool_size=8, max_overflow=24, pool_timeout=60, pool_pre_ping=postgres)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise UserError("PostgreSQL needs psycopg; pip install 'fuselip[postgres]'") from error
    if not postgres:
        event.listen(engine, "connect", _connected)
        event.listen(engine, "begin", _begin)
    return engine


def _connected(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver would begin and commit by itself, DDL outside of transactions
    for pragma in ("busy_timeout=60000", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer waits for its turn at the start: one that began as a reader could only fail later."""
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _first_line(error: DBAPIError) -> str:
    return shown(str(error.orig).strip().partition("\n")[0])
