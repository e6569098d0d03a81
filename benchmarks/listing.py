"""What there is, as text: models, tasks, suites. Nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.encoders import list_models
from benchmarks.report import clean
from benchmarks.tasks import BROKEN, SUITES, TASKS, match


def models() -> str:
    """Built-in encoders and those that installed packages offer."""
    return columns([(row.name, row.origin, row.description) for row in list_models()])


def tasks() -> str:
    """Every task with its version, metric and what it asks; "unverified": its publisher's files were not at hand."""
    rows = [
        (spec.name, f"v{spec.version}", spec.metric, "unverified" if spec.unverified else "", spec.description)
        for spec in TASKS.values()
    ]
    return columns([*rows, *((f"[{point}]", "", "", "broken", why) for point, why in BROKEN.items())])


def suites() -> str:
    """Every suite with the number of its tasks and what it is for."""
    return columns([(suite.name, f"{len(match(suite.tasks))} tasks", suite.description) for suite in SUITES.values()])


def to_json(what: str) -> list[dict[str, Any]]:
    """The same with all that is known: of a task its source, citation, licence, revision, counts and files."""
    if what == "tasks":
        return [asdict(spec) for spec in TASKS.values()]
    if what == "suites":
        return [{**asdict(suite), "tasks": match(suite.tasks)} for suite in SUITES.values()]
    return [asdict(row) for row in list_models()]


LISTINGS: dict[str, Callable[[], str]] = {"models": models, "tasks": tasks, "suites": suites}


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, two blanks apart; names come from strangers and are cleaned."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cleaned, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cleaned]
    return "".join(f"{line.rstrip()}\n" for line in lines)
