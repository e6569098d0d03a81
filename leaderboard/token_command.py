"""`fuselip-leaderboard token`: make, list and revoke the keys to the server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError, UserError

_STORE = click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")


@click.group("token", short_help="Make, list and revoke the keys to the server.")
def command() -> None:
    """Tokens let a submitter or a maintainer in. Only their hashes are kept."""


@command.command("create")
@_STORE
@click.option("--scopes", default="submit", show_default=True, help="Some of submit, read, admin; with commas.")
@click.option("--days", default=90.0, show_default=True, help="For how long it is good.")
@click.option("--label", default="", help="Whose it is, for `token list`.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="A new file for it, which only you can read."
)
@debug_option
def create(where: str, scopes: str, days: float, label: str, out: Path | None) -> None:
    """Print a new token, or write it to a file, this once: it cannot be had again."""
    from leaderboard.store import Store

    if out and out.exists():
        raise UsageError(f"{out} exists; name another --out")
    with Store.open(where) as store:
        text, token = store.token_create([scope.strip() for scope in scopes.split(",") if scope.strip()], days, label)
    if out:
        _write(out, text)
    else:
        click.echo(text)
    until = token.expires[:16].replace("T", " ")
    click.echo(
        f"token {token.id}: {', '.join(token.scopes)}, until {until} UTC; {out or 'it'} cannot be had again", err=True
    )


def _write(path: Path, text: str) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
            stream.write(f"{text}\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); the token is lost, revoke it") from error


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
