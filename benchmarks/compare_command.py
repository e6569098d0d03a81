"""`fuselip-bench compare`: two or three runs on the same questions, and whether they differ."""

from __future__ import annotations

from pathlib import Path

import click

from fuselip.core.console import debug_option

_RUN = click.Path(path_type=Path, file_okay=False)


@click.command(short_help="Do two or three runs differ, task by task?")
@click.argument("first", metavar="A", type=_RUN)
@click.argument("second", metavar="B", type=_RUN)
@click.argument("third", metavar="[C]", type=_RUN, required=False)
@click.option("--queries", type=click.IntRange(min=0), default=0, help="List so many disagreements of each task.")
@click.option(
    "--format", "format_", type=click.Choice(["table", "csv", "md", "json"]), default="table", show_default=True
)
@debug_option
def compare(first: Path, second: Path, third: Path | None, queries: int, format_: str) -> None:
    """Do runs A and B (and C) differ, task by task?

    Paired intervals, exact tests with Holm's adjustment, and how many questions it would take to tell them apart.
    """
    import shutil

    from benchmarks.compare import compare as examine
    from benchmarks.compare_report import render

    found = examine([path for path in (first, second, third) if path is not None], queries=queries)
    click.echo(render(found, format_, shutil.get_terminal_size((120, 24)).columns), nl=False)
