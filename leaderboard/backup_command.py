"""`fuselip-leaderboard backup`: a consistent copy of a store that is in use."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("backup", short_help="Copy a store that is in use.")
@click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder. It will hold secrets.")
@debug_option
def command(where: str, out: Path) -> None:
    """SQLite: OUT is a store itself (use it as --store). PostgreSQL: OUT is an export (`import` it)."""
    from leaderboard.store import Store
    from leaderboard.store.backup import backup

    with Store.open(where) as store:
        count = backup(store, out)
        how = "import it into a new store" if store.is_postgres else "use it as --store"
    click.echo(f"{out}: {count} bundles and the database; to restore, {how}")
