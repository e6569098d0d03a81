"""`fuselip-bench view`: write the page of one run or several."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=FOLDER)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page to write.  [default: view.html in the first RUN's parent]",
)
@click.option("--pictures", type=click.IntRange(min=0), default=400, show_default=True, help="Pictures in the page.")
@click.option("--rows", type=click.IntRange(min=1), help="Queries of each task, at most.  [default: all]")
@click.option("--source", help="The pictures that the run used, where it does not say.")
@click.option("--data-root", help="Where the paths of a CSV start.")
@click.option("--data", type=FOLDER, help="The folder of the public data sets.")
@click.option("--open", "open_", is_flag=True, help="Open it in the browser.")
@debug_option
def view(
    runs: tuple[Path, ...],
    out: Path | None,
    pictures: int,
    rows: int | None,
    source: str | None,
    data_root: str | None,
    data: Path | None,
    open_: bool,
) -> None:
    """One self-contained page: scores with intervals, skills, and every query, right and wrong, with its pictures."""
    from benchmarks.view.report import Options, render
    from fuselip.core.files import write_bytes

    text = render(runs, Options(pictures, rows, source, data_root, data))
    path = out or runs[0].parent / "view.html"
    write_bytes(path, text.encode("utf-8"))
    click.echo(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
    if open_:
        click.launch(str(path))
