"""`fuselip-leaderboard token`: make, list and revoke the keys to the server."""

from __future__ import annotations

import json

import click

from fuselip.core.console import debug_option

_STORE = click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")


@click.group("token", short_help="Make, list and revoke the keys to the server.")
def command() -> None:
    """Tokens let a submitter or a maintainer in. Only their hashes are kept."""


@command.command("create")
@_STORE
@click.option("--scopes", default="submit", show_default=True, help="Some of submit, read, admin; with commas.")
@click.option("--days", default=90.0, show_default=True, help="For how long it is good.")
@click.option("--label", default="", help="Whose it is, for `token list`.")
@debug_option
def create(where: str, scopes: str, days: float, label: str) -> None:
    """Print a new token, this once: it cannot be had again."""
    from leaderboard.store import Store

    with Store.open(where) as store:
        text, token = store.token_create([scope.strip() for scope in scopes.split(",") if scope.strip()], days, label)
    click.echo(text)
    click.echo(f"token {token.id}: {', '.join(token.scopes)}, until {token.expires[:16]} UTC; keep it", err=True)


@command.command("list")
@_STORE
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def list_tokens(where: str, as_json: bool) -> None:
    """Show the tokens, without what lets anybody in."""
    from leaderboard.store import Store

    with Store.open(where) as store:
        found = store.tokens()
    names = ("id", "scopes", "label", "created", "expires", "revoked", "used")
    rows = [{name: getattr(token, name) for name in names} for token in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        state = f"revoked {row['revoked'][:16]}" if row["revoked"] else f"until {row['expires'][:16]}"
        used = f"last used {row['used'][:16]}" if row["used"] else "never used"
        click.echo(f"{row['id']}  {', '.join(row['scopes'])}  {state}  {used}  {row['label']}".rstrip())


@command.command("revoke")
@_STORE
@click.argument("id")
@debug_option
def revoke(where: str, id: str) -> None:
    """Refuse the token ID from now on."""
    from leaderboard.store import Store

    with Store.open(where) as store:
        token = store.token_revoke(id)
    click.echo(f"token {token.id} is revoked since {token.revoked} UTC")
