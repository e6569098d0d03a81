"""`fuselip-bench export`: the results of a run in the forms that others read."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--to", "form", type=click.Choice(["mteb", "mmeb"]), required=True, help="mteb's results folder, or MMEB's sheet."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The folder (mteb) or file (mmeb) to write."
)
@click.option("--url", default="", help="Where the model is published, for MMEB's sheet.")
@debug_option
def export(run_folder: Path, form: str, out: Path, url: str) -> None:
    """Write the results of a run as mteb or as MMEB's leaderboard takes them."""
    from benchmarks.export.results import mmeb_sheet, mteb_files
    from benchmarks.runs import RunFolder
    from fuselip.core.files import write_json

    summary = RunFolder(run_folder).summary()
    if form == "mmeb":
        write_json(out, mmeb_sheet(summary, url))
        click.echo(str(out))
        return
    files = mteb_files(summary)
    for name, value in files.items():
        write_json(out / name, value)
    click.echo(f"{out}: {len(files)} files")
