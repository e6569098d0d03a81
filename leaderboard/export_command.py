"""`fuselip-leaderboard export`: all of a store as JSON lines and bundles, which any engine can import."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command("export", short_help="Write a store as JSON lines and bundles.")
@click.option("--store", "where", required=True, metavar="DIR|URL", help="The leaderboard's store.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder. It will hold secrets.")
@debug_option
def command(where: str, out: Path) -> None:
    """Verify the audit log and write all of the store, as it is now, while it may be in use."""
    from leaderboard.store import Store
    from leaderboard.store.dump import export

    with Store.open(where) as store:
        manifest = export(store, out)
    rows = sum(table["rows"] for table in manifest["tables"].values())
    entries, last = manifest["journal"]["entries"], manifest["journal"]["last"]
    click.echo(f"{out}: {rows} rows, {manifest['bundles']} bundles; audit log whole, {entries} entries, last {last}")
