"""Comparing runs: what encoders got on the same questions, how sure the difference is, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import paired, predictions
from benchmarks.metrics import METRICS, Unit
from benchmarks.report import model_label
from benchmarks.results import result_from_json
from benchmarks.runs import RunFolder
from benchmarks.stats import count_clusters
from benchmarks.types import Prediction
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import read_json
from fuselip.core.plugins import did_you_mean

MACRO = "macro average"


@dataclass(frozen=True)
class RunTask:
    """One task of a run, read from its predictions alone: nothing that result.json says of scores is believed."""

    name: str
    version: int
    data_hash: str
    metric: str
    units: Sequence[Unit]
    predictions: Mapping[str, Prediction]


@dataclass(frozen=True)
class Run:
    """A finished run: a label that tells it from the others (A, B, C), its model, and its tasks by name."""

    letter: str
    label: str
    path: Path
    tasks: Mapping[str, RunTask]


@dataclass(frozen=True)
class Row:
    """Two runs on one task (or the mean over tasks): `difference` is second - first, with its 95% interval.

    `p` is of the test named, `holm` is adjusted for all tasks and pairs (None for the mean over tasks); `detectable`
    is the smallest difference that so many questions find (80% power at 5%), `needed` how many would find this one.
    """

    task: str
    first: str
    second: str
    scores: tuple[float, float]
    difference: float
    low: float
    high: float
    p: float
    test: str
    holm: float | None
    n: int
    clusters: int
    detectable: float | None
    needed: int | None


@dataclass(frozen=True)
class Disagreement:
    """A unit (question, group or class) on which two runs differ, with what each put first where it is a question."""

    task: str
    unit: str
    first: str
    second: str
    scores: tuple[float, float]
    picks: tuple[str, str] = ("", "")
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two or three runs: a row for every task and pair, the means over tasks, and the questions they differ on."""

    runs: Sequence[Run]
    rows: Sequence[Row]
    macro: Sequence[Row] = ()
    queries: Sequence[Disagreement] = field(default=())


def compare(folders: Sequence[Path], *, queries: int = 0) -> Comparison:
    """Compare two or three finished runs; `queries` is how many disagreements to list for each task and pair.

    Raises UsageError for another number of runs, UserError where one cannot be read, or where the runs did not answer
    the same questions (other tasks, data, version or metric), naming the first difference.
    """
    if len(folders) not in (2, 3):
        raise UsageError(f"compare takes two or three runs, not {len(folders)}")
    runs = [read(folder, letter) for folder, letter in zip(folders, "ABC", strict=False)]
    for other in runs[1:]:
        _require_same(runs[0], other)
    pairs = list(combinations(runs, 2))
    rows = [_row(first, second, task) for task in runs[0].tasks for first, second in pairs]
    adjusted = paired.holm([row.p for row in rows])
    rows = [Row(**{**vars(row), "holm": holm}) for row, holm in zip(rows, adjusted, strict=True)]
    macro = [_macro(first, second) for first, second in pairs] if len(runs[0].tasks) > 1 else []
    listed = [each for task in runs[0].tasks for pair in pairs for each in disagreements(*pair, task, queries)]
    return Comparison(runs, rows, macro, listed)


def read(folder: Path, letter: str) -> Run:
    """A run from its folder. UserError where it is unfinished, or its files contradict each other."""
    summary = RunFolder(folder).summary()
    names = sorted(path.parent for path in (folder / "tasks").glob("*/result.json"))
    if not names:
        raise UserError(f"{folder} holds no results (tasks/*/result.json); give the folder that a run was written to")
    tasks = [_task(path) for path in names]
    return Run(letter, model_label(summary), folder, {task.name: task for task in tasks})


def _task(folder: Path) -> RunTask:
    said = result_from_json(read_json(folder / "result.json"), folder / "result.json")
    file = predictions.read(folder / "predictions.parquet")
    for key, value in {"task": said.name, "version": str(said.version), "data_hash": said.data_hash}.items():
        if file.header[key] != value:
            raise UserError(f"{folder}: result.json says {key} {value!r}, its predictions {file.header[key]!r}")
    if said.metric not in METRICS:
        raise UserError(f"{folder}: there is no metric {said.metric!r}{did_you_mean(said.metric, METRICS)}")
    known = [row for row in file.variants["model"] if row.targets]
    if not known:
        raise UserError(f"{folder}: no query has known answers; its server scores this task")
    units = METRICS[said.metric].units(known)
    return RunTask(said.name, said.version, said.data_hash, said.metric, units, {row.query: row for row in known})


def _require_same(first: Run, other: Run) -> None:
    for one, two in ((first, other), (other, first)):
        if lacking := next((name for name in one.tasks if name not in two.tasks), None):
            raise UserError(f"{one.path} has task {lacking}, {two.path} does not; run both on the same tasks")
    for name, mine in first.tasks.items():
        its = other.tasks[name]
        for what in ("version", "metric", "data_hash"):
            one, two = getattr(mine, what), getattr(its, what)
            if one != two:
                raise UserError(
                    f"{name}: {what} is {one} in {first.path} and {two} in {other.path}; these are other questions, "
                    "whose scores cannot be compared: run both on the same data with the same version"
                )
        if [(u.key, u.cluster, u.chance) for u in mine.units] != [(u.key, u.cluster, u.chance) for u in its.units]:
            raise UserError(f"{name}: {first.path} and {other.path} hold other questions though their data agree")


def _row(first: Run, second: Run, name: str) -> Row:
    one, two = first.tasks[name].units, second.tasks[name].units
    changed, clusters = paired.changes(one, two)
    found = paired.interval(changed, clusters, f"{name}/compare")
    p, test = paired.p_value(one, two, name)
    return Row(
        task=name,
        first=first.letter,
        second=second.letter,
        scores=(_mean(one), _mean(two)),
        difference=found.value,
        low=found.low,
        high=found.high,
        p=p,
        test=test,
        holm=None,
        n=len(one),
        clusters=count_clusters(clusters),
        detectable=paired.detectable(changed, clusters),
        needed=paired.needed(changed, clusters),
    )


def _macro(first: Run, second: Run) -> Row:
    tasks = {name: paired.changes(first.tasks[name].units, second.tasks[name].units) for name in first.tasks}
    found, p = paired.macro(tasks, "compare")
    scores = [float(np.mean([_mean(task.units) for task in run.tasks.values()])) for run in (first, second)]
    return Row(
        task=MACRO,
        first=first.letter,
        second=second.letter,
        scores=(scores[0], scores[1]),
        difference=found.value,
        low=found.low,
        high=found.high,
        p=p,
        test="permutation",
        holm=None,
        n=sum(len(changed) for changed, _ in tasks.values()),
        clusters=len({name for _, clusters in tasks.values() for name in clusters if name})
        + sum(not name for _, clusters in tasks.values() for name in clusters),
        detectable=None,
        needed=None,
    )


def _mean(units: Sequence[Unit]) -> float:
    return float(np.mean([unit.value for unit in units]))


def disagreements(first: Run, second: Run, name: str, most: int) -> list[Disagreement]:
    """Up to `most` units of the task on which the two runs differ, the largest differences first."""
    mine, its = first.tasks[name], second.tasks[name]
    pairs = [pair for pair in zip(mine.units, its.units, strict=True) if pair[0].value != pair[1].value]
    pairs.sort(key=lambda pair: (-abs(pair[0].value - pair[1].value), pair[0].key))
    found = []
    for one, two in pairs[:most]:
        asked = [task.predictions.get(one.key) for task in (mine, its)]
        picks = [row.top[0][0] if row else "" for row in asked]
        answers = tuple(sorted(target.key for target in asked[0].targets)) if asked[0] else ()
        scores = (one.value, two.value)
        letters = (first.letter, second.letter)
        found.append(Disagreement(name, one.key, *letters, scores, (picks[0], picks[1]), answers))
    return found


def to_json(found: Comparison) -> dict[str, Any]:
    """Plain data: {runs, tasks, macro, queries}; numbers are shares, unrounded."""
    return {
        "runs": [{"letter": run.letter, "label": run.label, "path": str(run.path)} for run in found.runs],
        "tasks": [{**vars(row), "scores": list(row.scores)} for row in found.rows],
        "macro": [{**vars(row), "scores": list(row.scores)} for row in found.macro],
        "queries": [
            {**vars(row), "scores": list(row.scores), "picks": list(row.picks), "answers": list(row.answers)}
            for row in found.queries
        ],
    }
