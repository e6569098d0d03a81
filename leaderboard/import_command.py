"""`fuselip-leaderboard import`: an export read into an empty store of either engine."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("import", short_help="Read an export into an empty store.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--store", "where", required=True, metavar="DIR|URL", help="A new store.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@debug_option
def command(folder: Path, where: str, data: Path | None) -> None:
    """Check every file of FOLDER against its manifest and read all of it, or nothing."""
    from leaderboard.migrate_command import refill
    from leaderboard.store import Store
    from leaderboard.store.database import shown
    from leaderboard.store.dump import restore

    with Store.at(where) as store:
        count = restore(folder, store)
        click.echo(f"{shown(where)}: {count} bundles and all that was exported with them")
        refill(store, data)
