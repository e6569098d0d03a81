"""`fuselip-leaderboard status`: what became of a submission."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("status")
@click.argument("what", metavar="ID|BUNDLE")
@click.option("--at", required=True, metavar="URL|DIR", help="Where it was submitted to.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="The file that holds your token.")
@debug_option
def command(what: str, at: str, token_file: Path | None) -> int:
    """State, badge and faults of a submission, by its id or its file. Exit code 1 where it was refused."""
    from leaderboard.client import WAITING, read_token, status

    found = status(what, at, read_token(token_file) if token_file else None)
    click.echo(f"{found.id}: {found.state}{f', badge {found.badge}' if found.badge else ''}")
    if found.state in WAITING:
        click.echo("its verification has not ended; ask again in a minute")
    for fault in found.faults:
        click.echo(f"wrong: {fault}")
    for flag in found.flags:
        click.echo(f"flag: {flag}")
    if found.url:
        click.echo(found.url)
    return 1 if found.state == "refused" else 0
