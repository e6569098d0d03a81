"""The paper's table again: every column whose data is there, beside what was published; the rest says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import tasks as registry
from benchmarks.published import COLUMNS, SOURCE, Column, published
from benchmarks.types import Result, TaskContext, TaskSpec
from fuselip.core.errors import UserError

TOLERANCE = 0.5
"""Points: 0.05 of rounding in print, and image ids that flip between builds of torch and Pillow. Ours to state."""

Run = Callable[[Sequence[str]], Sequence[Result]]


@dataclass(frozen=True)
class Row:
    """One column of the paper. `value` and the rest are in percent; None where it did not run, and `why` says why."""

    column: str
    title: str
    published: float
    value: float | None
    low: float | None
    high: float | None
    tasks: int
    of: int
    why: str

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not run"
        if self.tasks < self.of:
            return "incomplete"
        return "reproduced" if abs(self.value - self.published) <= TOLERANCE else "differs"


def reproduce(model: str, data: str, context: TaskContext, run: Run) -> list[Row]:
    """The rows of `model` trained on `data`. `run` evaluates tasks by name (all at once: images are shared)."""
    found = {key: column_tasks(key, column) for key, column in COLUMNS.items()}
    missing: dict[str, str] = {}
    for spec in {spec.name: spec for specs in found.values() for spec in specs}.values():
        try:
            registry.load_task(spec, context)
        except UserError as error:
            missing[spec.name] = str(error)
    wanted = [spec.name for specs in found.values() for spec in specs if spec.name not in missing]
    results = {result.name: result for result in run(wanted)} if wanted else {}
    theirs = published(model, data)
    return [_row(key, theirs[key], found[key], results, missing) for key in COLUMNS]


def column_tasks(key: str, column: Column) -> list[TaskSpec]:
    """The tasks that a column is the mean of."""
    specs = [registry.task(name) for name in registry.match(column.tasks)]
    group = key.removeprefix("mmeb_") if key.startswith("mmeb_") else None
    specs = [spec for spec in specs if group is None or spec.params.get("group") == group]
    assert len(specs) == column.count, f"{key} is the mean of {column.count} tasks, not {len(specs)}"
    return specs


def _row(
    key: str, theirs: float, specs: Sequence[TaskSpec], results: Mapping[str, Result], missing: Mapping[str, str]
) -> Row:
    column = COLUMNS[key]
    done = [results[spec.name] for spec in specs if spec.name in results]
    why = next((missing[spec.name] for spec in specs if spec.name in missing), column.note)
    if not done:
        return Row(key, column.title, theirs, None, None, None, 0, column.count, why)
    value = 100 * sum(result.value for result in done) / len(done)
    # Tasks are independent samples: the half-widths of their intervals add in squares.
    half = [100 * (sum((side(r)) ** 2 for r in done) ** 0.5) / len(done) for side in (_below, _above)]
    return Row(key, column.title, theirs, value, value - half[0], value + half[1], len(done), column.count, why)


def _below(result: Result) -> float:
    return result.value - result.low


def _above(result: Result) -> float:
    return result.high - result.value


def to_json(model: str, data: str, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "model": model,
        "training_data": data,
        "source": SOURCE,
        "tolerance": TOLERANCE,
        "rows": [{**vars(row), "verdict": row.verdict} for row in rows],
    }
