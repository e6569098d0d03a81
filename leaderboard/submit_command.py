"""`fuselip-leaderboard submit`: send a bundle to a server, a store or a results folder."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("submit")
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--to", "to", required=True, metavar="URL|DIR", help="A server, a store, or a results folder.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="The file that holds your token.")
@debug_option
def command(bundle: Path, to: str, token_file: Path | None) -> None:
    """Send a bundle. The same command again is safe: it stays one submission.

    A folder that is no store gets NAME/SHA.zip, to be committed and offered as a pull request.
    """
    from leaderboard.client import WAITING, is_url, read_token, submit

    token = read_token(token_file) if token_file else None
    if token and token.warning:
        click.echo(f"warning: {token.warning}", err=True)
    sent = submit(bundle, to, token)
    if sent.state == "filed":
        click.echo(f"{sent.url}: commit it and open a pull request")
        return
    click.echo(f"{sent.id}: {sent.state}{f', {sent.url}' if sent.url else ''}")
    if sent.state in WAITING:
        click.echo(
            "it is verified in its turn" if is_url(to) else f"verify it: fuselip-leaderboard add {bundle} --store {to}"
        )
    click.echo(f"next: fuselip-leaderboard status {bundle} --at {to}")
