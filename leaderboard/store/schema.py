"""The schema's revision: which one a database has, and moving it up or down in one transaction.

Alembic's own runner without its env.py and alembic.ini: the transaction is ours, so that a kill leaves all or nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from fuselip.core.errors import UsageError, UserError
from leaderboard.store import journal

FOLDER = Path(__file__).parent / "migrations"


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])


def revisions() -> list[str]:
    """All of them, oldest first."""
    return [script.revision for script in _scripts().walk_revisions()][::-1]


def current(connection: Connection) -> str | None:
    """The database's revision; None where it is empty. Raises UserError for a database of something else."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None and (tables := inspect(connection).get_table_names()):
        raise UserError(f"the database holds other tables ({', '.join(tables[:3])}); name an empty one")
    return found


def check(connection: Connection) -> None:
    """Raises UserError where the revision is not ours."""
    found = current(connection)
    if found not in revisions():
        raise UserError(f"the store is of revision {found}, newer than this fuselip knows; install the newer fuselip")
    if found != revisions()[-1]:
        raise UserError(
            f"the store is of revision {found}, this fuselip needs {revisions()[-1]}; stop what uses it, back it up "
            "and run `fuselip-leaderboard migrate`"
        )


def migrate(engine: Engine, to: str = "head") -> tuple[str | None, str]:
    """Move to revision `to`; (revision before, revision after). Whole or not at all, one migration at a time.

    Raises UsageError for an unknown revision.
    """
    known = revisions()
    target = known[-1] if to == "head" else to
    if target not in known:
        raise UsageError(f"there is no revision {to!r} (known: {', '.join(known)})")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(720610)"))
        before = current(connection)
        if before is not None and before not in known:
            check(connection)
        if before != target:
            _run(connection, target, up=before is None or known.index(before) < known.index(target))
            if before is not None:  # a new store begins with an empty log, so that an import can bring its own
                journal.append(connection, "store", "migrated", target, {"from": before})
    return before, target


def _run(connection: Connection, target: str, up: bool) -> None:
    scripts = _scripts()

    def steps(found: Any, _: MigrationContext) -> Any:
        return scripts._upgrade_revs(target, found) if up else scripts._downgrade_revs(target, found)

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
