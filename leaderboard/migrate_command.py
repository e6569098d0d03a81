"""`fuselip-leaderboard migrate`: the store's schema, shown or moved to another revision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuselip.core.console import debug_option

if TYPE_CHECKING:
    from leaderboard.store import Store


@click.command("migrate", short_help="Show or change the revision of a store.")
@click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")
@click.option("--to", metavar="REV", default="head", show_default=True, help="A revision, newer or older.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@click.option("--show", is_flag=True, help="Only say which revision it has.")
@debug_option
def command(where: str, to: str, data: Path | None, show: bool) -> None:
    """Bring the store to a revision, whole or not at all. Stop the server and back the store up first.

    What an older revision had no place for is then computed again from the bundles; stopped, the same command goes on.
    """
    from leaderboard.store import Store
    from leaderboard.store.schema import current, migrate, revisions

    with Store.at(where) as store:
        if show:
            with store.snapshot() as connection:
                found = current(connection)
            click.echo(f"revision {found or 'none (empty)'}; known: {', '.join(revisions())}")
            return
        before, after = migrate(store.engine, to)
        click.echo(f"revision {after}" + (" already" if before == after else f", was {before or 'empty'}"))
        if after == revisions()[-1]:
            refill(store, data)


def refill(store: Store, data: Path | None) -> None:
    """Compute again what the store's submissions lack, and say of which."""
    from fuselip.core.files import cache_home
    from leaderboard.answers import Book

    filled, left = store.refill(Book(cache_home() / "leaderboard", data))
    if filled:
        click.echo(f"{filled} submissions: fingerprints and throughput computed again from their bundles")
    for id, why in left.items():
        click.echo(f"{id}: its fingerprint is missing, so that copies of it are not found: {why}", err=True)
