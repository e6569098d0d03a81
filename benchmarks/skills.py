"""Skill curves: accuracy by tag (rotation angle, crop cell, jitter strength, ...), from the predictions alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import stats
from benchmarks.metrics import METRICS
from benchmarks.score import TIE
from benchmarks.types import Prediction
from fuselip.core.types import Scalar

MOST_VALUES = 40
"""A tag with more texts than this names things rather than kinds, and gives no curve."""

MOST_NUMBERS = 24
"""Numbers up to this many are shown one by one (18 rotation angles), more in bins of equal counts."""

BINS = 5
CONFUSED = ("cell",)
"""Tags of which candidates have a value too, as the last part of their key ("item/crop/upper left")."""


def skill_curves(predictions: Sequence[Prediction], seed_name: str = "") -> dict[str, Any]:
    """{tag: [{value, n, accuracy, low, high, chance}]}, by value; and {"cell confusion": ...} where queries have cells.

    Accuracy is hit@1. A binned number has {value: [from, to]}. A tag with one value says nothing and is left out.
    """
    tagged: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.targets:
            for tag in prediction.tags:
                tagged[tag].append(prediction)
    curves: dict[str, Any] = {}
    for tag in sorted(tagged):
        parts = _parts(tag, tagged[tag])
        if len(parts) > 1:
            curves[tag] = [_point(value, part, f"{seed_name}/{tag}={value}") for value, part in parts]
            if tag in CONFUSED:
                curves[f"{tag} confusion"] = confusion(tagged[tag], tag)
    return curves


def confusion(predictions: Sequence[Prediction], tag: str) -> dict[str, Any]:
    """How often a query of one value picked a candidate of which: {values, picked, counts [values][picked]}.

    A tie at the top is shared out evenly, so that counts are expectations and each row sums to its queries.
    """
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for prediction in predictions:
        best = max(value for _, value in prediction.top)
        picks = [key for key, value in prediction.top if value >= best - TIE]
        for key in picks:
            counts[str(prediction.tags[tag])][key.rpartition("/")[2]] += 1 / len(picks)
    values = sorted(counts)
    picked = sorted({pick for row in counts.values() for pick in row})
    table = [[counts[value].get(pick, 0.0) for pick in picked] for value in values]
    return {"values": values, "picked": picked, "counts": table}


def _point(value: Any, part: Sequence[Prediction], seed_name: str) -> dict[str, Any]:
    units = METRICS["hit@1"].units(part)
    found = stats.estimate([unit.value for unit in units], [unit.cluster for unit in units], seed_name)
    chance = float(np.mean([unit.chance for unit in units]))
    return {
        "value": value,
        "n": len(part),
        "accuracy": found.value,
        "low": found.low,
        "high": found.high,
        "chance": chance,
    }


def _parts(tag: str, predictions: Sequence[Prediction]) -> list[tuple[Any, list[Prediction]]]:
    """The predictions by the tag's value, in order; numbers of many values in bins, texts of many values not at all."""
    values = [prediction.tags[tag] for prediction in predictions]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numeric and len(set(values)) > MOST_NUMBERS:
        return _bins(np.array(values, dtype=np.float64), predictions)
    by_value: dict[Scalar, list[Prediction]] = defaultdict(list)
    for value, prediction in zip(values, predictions, strict=True):
        by_value[value if numeric else str(value)].append(prediction)
    return sorted(by_value.items()) if len(by_value) <= MOST_VALUES else []


def _bins(values: np.ndarray, predictions: Sequence[Prediction]) -> list[tuple[Any, list[Prediction]]]:
    """Bins of about equal counts, each named by its least and greatest value; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    numbers = np.searchsorted(edges, values, side="left")
    found: list[tuple[Any, list[Prediction]]] = []
    for number in np.unique(numbers):
        inside = np.flatnonzero(numbers == number)
        ends = [float(values[inside].min()), float(values[inside].max())]
        found.append((ends, [predictions[index] for index in inside.tolist()]))
    return found
