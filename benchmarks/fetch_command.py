"""`fuselip-bench fetch`: the public data sets that tasks read, into the data folder."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from fuselip.core.console import debug_option
from fuselip.core.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.fetch import Outcome


@click.command(short_help="Fetch the public data that tasks read.")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="[default: `data` in fuselip's cache]")
@click.option("--max-size", default="100G", show_default=True, help="Larger files are refused: bytes, or with K, M, G.")
@click.option("--quick", is_flag=True, help="Check the files that are there by their size alone.")
@click.option("--offline", is_flag=True, help="Check only; fetch nothing.")
@click.option("--allow-private", is_flag=True, help="Also this machine's own network, and proxies of the environment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def fetch(
    tasks: tuple[str, ...],
    data: Path | None,
    max_size: str,
    quick: bool,
    offline: bool,
    allow_private: bool,
    as_json: bool,
) -> int:
    """Fetch what TASK... read (names, or patterns such as 'circo/*').

    What is there is checked and stays. Give the same command again to go on with what was cut off. For files that only
    a person can get, it says how.
    """
    import json

    from benchmarks.fetch import Options
    from benchmarks.fetch import fetch as bring
    from benchmarks.tasks import match, task
    from benchmarks.tasks.folder import data_home
    from benchmarks.types import TaskContext
    from datagen.fetch.guard import Limits

    specs = [task(name) for name in match(tasks)]
    root = data_home(TaskContext(data=data))
    options = Options(Limits(allow_private, size(max_size)), offline, quick)
    with Bar() as bar:
        outcomes = bring(specs, root, options, bar)
    if as_json:
        click.echo(json.dumps([vars(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    else:
        click.echo(to_text(outcomes, root), nl=False)
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def to_text(outcomes: list[Outcome], root: Path) -> str:
    """A row a file, then what a person has to do."""
    from benchmarks.listing import columns

    text = columns([(each.state, each.path) for each in outcomes])
    for title, state in (("could not be had", "failed"), ("to be got by hand", "by hand")):
        rows = [(f"  {each.path}: {each.note}",) for each in outcomes if each.state == state]
        text += columns([(f"{title}:",), *rows]) if rows else ""
    return text + (f"in {root}\n" if outcomes else "these tasks read no files\n")


def size(text: str) -> int:
    """Bytes of "500M". Raises UsageError."""
    scale = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:].upper(), 1)
    try:
        number = float(text[:-1] if scale > 1 else text)
    except ValueError:
        number = 0.0
    if not 0 < number < 2**50:
        raise UsageError(f"--max-size {text!r} is not a size; write 500M or 2G")
    return int(number * scale)


class Bar:
    """A bar a file on stderr, on a terminal; elsewhere a line when each begins."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._console = Console(stderr=True, highlight=False)
        shown = TextColumn("{task.description}", markup=False)
        parts = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = Progress(
            shown, *parts, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task: Any = None

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, what: str) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=None)
        if not self._console.is_terminal:
            self._console.print(what, markup=False, soft_wrap=True)

    def progress(self, done: int, total: int | None) -> None:
        self._bar.update(self._task, completed=done, total=total)
