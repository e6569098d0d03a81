"""Results: every number told of a task, computed from its predictions alone, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import shortcuts, stats
from benchmarks.metrics import METRICS, Units
from benchmarks.skills import skill_curves
from benchmarks.types import Prediction, Result, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.plugins import did_you_mean

CONTROLS = ("constant", "random", "oracle", "image_only", "text_only")
PARTS = ("value", "low", "high", "chance")


@dataclass(frozen=True)
class Numbers:
    """The part of a Result that follows from the predictions and the name of the main metric."""

    value: float
    low: float
    high: float
    interval: str
    chance: float
    n: int
    clusters: int
    controls: Mapping[str, float | None]
    metrics: Mapping[str, Mapping[str, float]]
    skills: Mapping[str, Any]
    audit: Mapping[str, Any]
    composition: Mapping[str, Any]


def numbers(metric: str, variants: Mapping[str, Sequence[Prediction]], seed_name: str, also: Sequence[str]) -> Numbers:
    """Score, interval, chance, controls, skills and audit. Queries whose answers a server holds are not counted.

    `also` are metrics told beside the main one. Raises UserError for an unknown metric, ValueError where no query has
    known answers.
    """
    names = list(dict.fromkeys([metric, *also]))
    unknown = next((name for name in names if name not in METRICS), None)
    if unknown is not None:
        raise UserError(f"there is no metric {unknown!r}{did_you_mean(unknown, METRICS)} (known: {', '.join(METRICS)})")
    # By query key, so that neither rounding nor draws depend on the order in which a caller lists the queries.
    scored = {
        variant: sorted((row for row in rows if row.targets), key=lambda row: row.query)
        for variant, rows in variants.items()
    }
    model = scored["model"]
    if not model:
        raise ValueError("no query has known answers: this task is scored by its server, not here")
    metrics: dict[str, dict[str, float]] = {}
    for name in names:
        units = METRICS[name].units(model)
        values, clusters = [unit.value for unit in units], [unit.cluster for unit in units]
        found = stats.estimate(values, clusters, f"{seed_name}/{name}")
        chance = float(np.mean([unit.chance for unit in units]))
        metrics[name] = {"value": found.value, "low": found.low, "high": found.high, "chance": chance}
        if name == metric:
            interval, n, count = found.method, len(units), stats.count_clusters(clusters)
    controls = {
        control: mean(METRICS[metric], scored[control]) if scored.get(control) else None for control in CONTROLS
    }
    return Numbers(
        **metrics[metric],
        interval=interval,
        n=n,
        clusters=count,
        controls=controls,
        metrics=metrics,
        skills=skill_curves(model, seed_name),
        audit=shortcuts.audit(METRICS[metric], scored, seed_name),
        composition=shortcuts.composition(METRICS[metric], scored, seed_name),
    )


def mean(metric: Units, predictions: Sequence[Prediction]) -> float:
    """The metric over all its units."""
    return float(np.mean([unit.value for unit in metric.units(predictions)]))


def summarise(
    spec: TaskSpec,
    data: TaskData,
    variants: Mapping[str, Sequence[Prediction]],
    *,
    seconds: float,
    warnings: Sequence[str] = (),
) -> Result:
    """The Result of a task from its predictions by variant ("model" and controls; one that is absent is n/a)."""
    return Result(
        name=spec.name,
        version=spec.version,
        data_hash=data.data_hash,
        metric=spec.metric,
        **vars(numbers(spec.metric, variants, spec.name, spec.also)),
        seconds=seconds,
        skipped=[{"item": skip.item, "reason": skip.reason} for skip in data.skipped],
        notes=list(data.notes),
        warnings=list(warnings),
    )


def result_to_json(result: Result) -> dict[str, Any]:
    """The content of result.json, and an entry of summary.json: plain data, unrounded."""
    return {field.name: _plain(getattr(result, field.name)) for field in fields(result)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "Mapping": dict,
    "Sequence": list,
}


def result_from_json(value: Any, path: Path | str) -> Result:
    """Raises UserError, naming `path`, for what is not a Result: numbers may be wrong, but not their kinds."""
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a result; it was edited or is damaged")
    for field in fields(Result):
        kind = _KINDS[str(field.type).partition("[")[0]]
        found = value.get(field.name)
        if not isinstance(found, kind) or isinstance(found, bool):
            raise UserError(f"{path}: {field.name!r} is missing or not a {_word(kind)}; it was edited or is damaged")
    known = {f"control {name!r}": value["controls"].get(name) for name in CONTROLS}
    wanted = {
        f"{part} of metric {name!r}": _part(row, part) for name, row in value["metrics"].items() for part in PARTS
    }
    told = {key: found for key, found in known.items() if found is not None} | wanted | _audited(value, path)
    for what, number in told.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise UserError(f"{path}: {what} is not a number; it was edited or is damaged")
    return Result(**{field.name: value[field.name] for field in fields(Result)})


def _audited(value: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """The numbers of the audit and the composition gap, by what they are; UserError where their other parts are odd."""
    audit, gap = value["audit"], value["composition"]
    tables = {name: audit.get(name, {}) for name in ("blind", "unimodal")}
    texts = [audit.get("reason", ""), gap.get("part", "")]
    if (
        not all(isinstance(part, dict) for part in tables.values())
        or not all(isinstance(part, str) for part in texts)
        or not any(audit.get("needs_fusion") is known for known in (True, False, None))
    ):
        raise UserError(f"{path}: 'audit' or 'composition' is not as we write it; it was edited or is damaged")
    numbers = {f"{name} of {kind}": number for kind, table in tables.items() for name, number in table.items()}
    return numbers | ({f"{part} of the composition": gap.get(part) for part in ("gap", "low", "high")} if gap else {})


def _part(row: Any, part: str) -> Any:
    return row.get(part) if isinstance(row, dict) else None


def _word(kind: type | tuple[type, ...]) -> str:
    return {str: "text", int: "whole number", dict: "table", list: "list"}.get(kind, "number")  # type: ignore[arg-type]
