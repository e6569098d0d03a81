"""The options that choose tasks and pictures on the command line, and the questions that they choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Listener, Loaded

FOLDER = click.Path(path_type=Path, file_okay=False)


def task_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """For commands that ask the tasks' questions in ways of their own."""
    for option in reversed(
        [
            click.option("--task", "tasks", multiple=True, help="A task or a pattern such as 'tgit/*'; repeatable."),
            click.option("--suite", help="Whose tasks, or whose pictures.  [default: quick, or any task with --task]"),
            click.option("--source", help="Other pictures: folder:DIR, csv:FILE, wds:PATTERN, photos, or a path."),
            click.option("--data-root", type=FOLDER, help="Where the paths of a CSV start."),
            click.option("--data", type=FOLDER, help="The folder of the public data sets."),
            click.option("--limit", type=click.IntRange(min=1), help="Use at most so many source images."),
            click.option("--seed", type=int, default=0, show_default=True, help="Seed of the questions drawn."),
        ]
    ):
        command = option(command)
    return command


def questions(given: dict[str, Any], offline: bool | None, listener: Listener) -> list[Loaded]:
    """The tasks that the options (by name, as click passes them) choose. UsageError where they choose none."""
    from benchmarks.evaluation import load
    from benchmarks.tasks import DEFAULT_SUITE
    from benchmarks.types import TaskContext

    suite = given["suite"] or ("custom" if given["tasks"] else DEFAULT_SUITE)
    root = str(given["data_root"]) if given["data_root"] else None
    context = TaskContext(given["source"] or "", root, given["limit"], given["seed"], bool(offline), given["data"])
    return load([suite], given["tasks"], context, listener)
