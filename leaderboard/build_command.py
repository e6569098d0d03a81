"""`fuselip-leaderboard build`: the pages of a store as static files, which open from disk."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("build", short_help="Write a store's pages as static files.")
@click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The site's folder.")
@click.option("--suite", default="core", show_default=True, help="The suite whose tasks are averaged and ranked by.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the public data sets.")
@click.option("--no-questions", is_flag=True, help="Leave out the questions on which encoders disagree.")
@debug_option
def command(where: str, out: Path, suite: str, data: Path | None, no_questions: bool) -> None:
    """Write the site at once: the one that was there stays until the new one is whole."""
    from fuselip.core.files import cache_home
    from leaderboard.answers import Book
    from leaderboard.site import build
    from leaderboard.site.sources import challenge_log, composed, disagreements
    from leaderboard.store import Store

    with Store.open(where) as store:
        board = composed(store, suite)
        book = Book(cache_home() / "leaderboard", data)
        build(board, out, () if no_questions else disagreements(store, board, book), challenge_log(store))
    rows = sum(row.comparable for row in board.rows)
    click.echo(f"{out / 'index.html'}: {rows} rows, {len(board.rows) - rows} reported")
