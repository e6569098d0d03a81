"""Two scores of the same tasks on different questions: the difference, its interval, and whether chance explains it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks import paired, stats
from benchmarks.types import Estimate


@dataclass(frozen=True)
class PublicTask:
    """The public units of a task: value and cluster of each, and the mean chance of them."""

    values: Sequence[float]
    clusters: Sequence[str]
    chance: float


class Side(msgspec.Struct, frozen=True):
    """A score with its interval, chance-normalised (0: chance, 1: perfect), of `n` units."""

    value: float
    low: float
    high: float
    n: int


class Gap(msgspec.Struct, frozen=True):
    """Public minus challenge score, chance-normalised, with its 95% interval."""

    value: float
    low: float
    high: float


def side_of(task: PublicTask, name: str) -> Side:
    found = stats.estimate(task.values, task.clusters, f"challenge/{name}")
    low, value, high = (_normal(number, task.chance) for number in (found.low, found.value, found.high))
    return Side(value, low, high, len(task.values))


def _normal(value: float, chance: float) -> float:
    return (value - chance) / (1 - chance)


def mean_of(tasks: Mapping[str, PublicTask]) -> Side:
    """The mean over tasks; its interval is the wider of two (see `score`) on each side."""
    sides = [side_of(task, name) for name, task in tasks.items()]
    value = float(np.mean([side.value for side in sides]))
    low, high = (math.hypot(*margins) / len(sides) for margins in zip(*map(_margins, sides), strict=True))
    joint: Estimate = paired.macro(
        {name: (_normalised(task), task.clusters) for name, task in tasks.items()}, "challenge"
    )[0]
    low, high = max(low, value - joint.low), max(high, joint.high - value)
    return Side(value, value - low, value + high, sum(side.n for side in sides))


def _normalised(task: PublicTask) -> np.ndarray:
    return (np.asarray(task.values, np.float64) - task.chance) / (1 - task.chance)


def _margins(side: Side) -> tuple[float, float]:
    return side.value - side.low, side.high - side.value


def gap_of(public: Side, challenge: Side) -> Gap:
    """Newcombe's hybrid: each side's own interval, so that scores near 0 and 1 get honest ones."""
    (down, up), (other_down, other_up) = _margins(public), _margins(challenge)
    value = public.value - challenge.value
    return Gap(value, value - math.hypot(down, other_up), value + math.hypot(up, other_down))


def p_value(gap: Gap) -> float:
    """Two-sided, from the margin on the side of 0, which is 1.96 standard errors."""
    margin = gap.value - gap.low if gap.value > 0 else gap.high - gap.value
    return math.erfc(abs(gap.value) / margin * stats.Z / math.sqrt(2)) if margin > 0 else float(gap.value == 0)
