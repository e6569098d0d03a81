"""Shortcuts: what a task gives away to those who see half of it or nothing, and what fusing both halves is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import paired, stats
from benchmarks.blind import BLIND
from benchmarks.metrics import Units
from benchmarks.types import Prediction

UNIMODAL = ("image_only", "text_only", "swapped_image")
ROOM = 0.5
"""The share of the room between chance and 1 that a baseline must reach for a task to need no fusion."""

_REACHES = {"characters": "characters reach"}


def audit(metric: Units, scored: Mapping[str, Sequence[Prediction]], seed_name: str) -> dict[str, Any]:
    """{blind, unimodal, intervals, needs_fusion, reason} of a task, from its predictions by variant.

    `needs_fusion`, the one place of the rule: false where a baseline reaches at least half of the room between chance
    and 1, its interval wholly above chance; true where queries have both modalities, what each alone scores is known
    and no baseline reaches that far; None where that is not known or there is nothing to fuse.
    """
    found: dict[str, tuple[float, float, float]] = {}
    reaching: dict[str, float] = {}
    for name in (*BLIND, *UNIMODAL):
        if not scored.get(name):
            continue
        units = metric.units(scored[name])
        estimate = stats.estimate([u.value for u in units], [u.cluster for u in units], f"{seed_name}/{name}")
        chance = float(np.mean([unit.chance for unit in units]))
        found[name] = (estimate.value, estimate.low, estimate.high)
        if estimate.value >= chance + ROOM * (1 - chance) and estimate.low > chance:
            reaching[name] = estimate.value
    needs = False if reaching else True if {"image_only", "text_only"} <= set(found) else None
    return {
        "blind": {name: found[name][0] for name in BLIND if name in found},
        "unimodal": {name: found[name][0] for name in UNIMODAL if name in found},
        "intervals": {name: list(row[1:]) for name, row in found.items()},
        "needs_fusion": needs,
        "reason": _reason(needs, reaching or {name: row[0] for name, row in found.items()}),
    }


def _reason(needs: bool | None, values: Mapping[str, float]) -> str:
    if needs is None:
        return ""
    best = max(values, key=lambda name: values[name])
    says = f"{_REACHES.get(best, best.replace('_', ' ') + ' reaches')} {100 * values[best]:.1f}"
    return says if not needs else f"no baseline reaches half of what there is above chance ({says})"


def composition(metric: Units, scored: Mapping[str, Sequence[Prediction]], seed_name: str) -> dict[str, Any]:
    """{gap, low, high, part}: the model's score minus that of the better half of its queries; {} where n/a.

    The interval is paired: model and half answer the same questions, and source images are drawn for both at once.
    """
    halves = {name: metric.units(scored[name]) for name in ("image_only", "text_only") if scored.get(name)}
    if len(halves) < 2:
        return {}
    part = max(halves, key=lambda name: float(np.mean([unit.value for unit in halves[name]])))
    gap = paired.interval(*paired.changes(halves[part], metric.units(scored["model"])), f"{seed_name}/composition")
    return {"gap": gap.value, "low": gap.low, "high": gap.high, "part": part}
