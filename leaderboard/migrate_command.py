"""`fuselip-leaderboard migrate`: the store's schema, shown or moved to another revision."""

from __future__ import annotations

import click

from fuselip.core.console import debug_option


@click.command("migrate", short_help="Show or change the revision of a store.")
@click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")
@click.option("--to", metavar="REV", default="head", show_default=True, help="A revision, newer or older.")
@click.option("--show", is_flag=True, help="Only say which revision it has.")
@debug_option
def command(where: str, to: str, show: bool) -> None:
    """Bring the store to a revision, whole or not at all. Stop the server and back the store up first."""
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
