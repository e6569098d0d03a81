"""`fuselip-bench doctor`: what is missing before the tasks can run, where it comes from and where it goes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuselip.core.console import debug_option

if TYPE_CHECKING:
    from benchmarks.doctor import TaskReport


@click.command(short_help="What is missing before the tasks can run.")
@click.argument("tasks", metavar="[TASK...]", nargs=-1)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="[default: `data` in fuselip's cache]")
@click.option("--quick", is_flag=True, help="Compare sizes, not hashes, of what was fetched.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def doctor(tasks: tuple[str, ...], data: Path | None, quick: bool, as_json: bool) -> int:
    """Which of TASK... (names or patterns; all, if none is given) can run here, and what the others lack.

    Never touches the network. Exits with 0 where all of them can run.
    """
    import json

    from benchmarks.doctor import environment, examine
    from benchmarks.tasks import match, task
    from benchmarks.tasks.folder import data_home
    from benchmarks.types import TaskContext

    root = data_home(TaskContext(data=data))
    reports = examine([task(name) for name in match(tasks or ("*",))], root, quick)
    if as_json:
        told = [{**asdict(report), "runnable": report.runnable} for report in reports]
        value = {"data": str(root), "environment": environment(), "tasks": told}
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        _show(reports, environment(), root)
    return 0 if all(report.runnable for report in reports) else 1


def _show(reports: list[TaskReport], found: dict[str, Any], root: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from benchmarks.report import clean

    console = Console(highlight=False)
    torch = found["torch"] or "not installed"
    console.print(Text(f"python {found['python']}, {found['platform']}; fuselip {found['fuselip']}, torch {torch}"))
    for extra, lacking in found["extras"].items():
        console.print(Text(f"extra {extra}: {'lacks ' + ', '.join(lacking) if lacking else 'installed'}"))
    console.print(Text(f"data folder: {root}"))
    table = Table("task", "runs", "questions", "what is wrong, and how to mend it", box=None, pad_edge=False)
    for report in reports:
        faults = [f"{file.path}: {file.state}. {file.note}" for file in report.files if not file.usable]
        said = "\n".join(clean(fault) for fault in [*faults, *([report.fault] if report.fault else [])])
        count = "" if report.queries is None else str(report.queries)
        table.add_row(Text(clean(report.name)), "yes" if report.runnable else "no", count, Text(said))
    console.print(table)
