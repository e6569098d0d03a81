"""Scores on the clean subset: the questions of a run that a training set does not give away (`fuselip-bench leaks`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import predictions
from benchmarks.report import percent
from benchmarks.results import numbers, result_from_json
from benchmarks.types import Result
from fuselip.core.errors import UserError
from fuselip.core.files import read_json


@dataclass(frozen=True)
class Clean:
    """A task's result on all its questions, and on the clean ones; None where too few are left, and `why`."""

    whole: Result
    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    n: int
    why: str = ""


def clean_scores(run: Path, listed: Path) -> list[Clean]:
    """A row for each task of the run folder. `listed` is what `leaks --out` wrote.

    Raises UserError where the two are of other data, since keys of queries mean nothing then.
    """
    kept = _read(listed)
    rows = []
    for path in sorted((run / "tasks").glob("*/result.json")):
        whole = result_from_json(read_json(path), path)
        if whole.name not in kept:
            rows.append(Clean(whole, None, None, None, None, 0, f"{listed} does not cover it"))
            continue
        row = kept[whole.name]
        if row.get("data_hash") != whole.data_hash:
            raise UserError(
                f"{listed} is of other data of {whole.name} than {run}; give `leaks` the same source and limit"
            )
        rows.append(_score(whole, path.parent, set(row["clean"])))
    if not rows:
        raise UserError(f"{run} holds no results (tasks/*/result.json); give the folder that a run was written to")
    return rows


def _read(path: Path) -> Mapping[str, Any]:
    found = read_json(path)
    tasks = found.get("tasks") if isinstance(found, dict) else None
    if not isinstance(tasks, dict) or not all(
        isinstance(row, dict) and isinstance(row.get("clean"), list) for row in tasks.values()
    ):
        raise UserError(f"{path} is not what `fuselip-bench leaks SET --out FILE` writes")
    return tasks


def _score(whole: Result, folder: Path, clean: set[str]) -> Clean:
    file = predictions.read(folder / "predictions.parquet")
    variants = {name: [row for row in rows if row.query in clean] for name, rows in file.variants.items()}
    if not any(row.targets for row in variants["model"]):
        return Clean(whole, None, None, None, None, 0, "no clean question is left")
    found = numbers(whole.metric, variants, f"{whole.name}/clean", ())
    return Clean(whole, found.value, found.low, found.high, found.chance, found.n)


def to_text(rows: Sequence[Clean]) -> str:
    """A line a task: all questions, the clean ones, and the difference in points."""
    from benchmarks.listing import columns

    lines = [("task", "n", "all", "clean n", "clean [95%]", "chance", "difference", "")]
    for row in rows:
        told = row.whole
        if row.value is None:
            lines.append((told.name, str(told.n), percent(told.value), "0", "n/a", "n/a", "n/a", row.why))
            continue
        score = f"{percent(row.value)} [{percent(row.low)}, {percent(row.high)}]"
        difference = f"{100 * (row.value - told.value):+.1f}"
        shown = (told.name, str(told.n), percent(told.value), str(row.n), score, percent(row.chance), difference, "")
        lines.append(shown)
    return columns(lines)
