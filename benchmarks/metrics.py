"""Metrics: pure functions of Predictions, each an exact expectation over a uniformly random order of ties.

A metric turns the predictions of a task into units, the things that are counted: one a query, a group or a class.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Protocol

import numpy as np

from benchmarks import group_metrics
from benchmarks.types import Prediction, TargetRank

PerQuery = Callable[[Prediction], float]
Place = Callable[[int, int, int], float]
"""f(above, size, hits): worth of the first hit where `hits` of `size` tied bundles are relevant, with `above` above."""


@dataclass(frozen=True)
class Unit:
    """One thing that is counted: its value and its chance, in [0, 1], and the source image it belongs to."""

    key: str
    cluster: str
    value: float
    chance: float


class Units(Protocol):
    """What every metric is: a name, and the units of some predictions, in the order of their keys."""

    @property
    def name(self) -> str: ...

    def units(self, predictions: Sequence[Prediction]) -> list[Unit]: ...


@dataclass(frozen=True)
class Metric:
    """A number in [0, 1] per query. `guess` gives its chance where that is not the score of a complete tie."""

    name: str
    per_query: PerQuery
    guess: PerQuery | None = None

    def chance(self, prediction: Prediction) -> float:
        """What a uniform guess scores on this query, exactly; needs only the pool's size and the targets' gains."""
        return (self.guess or self.per_query)(all_tied(prediction))

    def units(self, predictions: Sequence[Prediction]) -> list[Unit]:
        ordered = sorted(predictions, key=lambda row: row.query)
        return [Unit(row.query, row.cluster, self.per_query(row), self.chance(row)) for row in ordered]


@dataclass(frozen=True)
class GroupMetric:
    """A number in [0, 1] per group of queries; `chance` is that of a uniformly random order of the group's scores."""

    name: str
    per_group: Callable[[Sequence[Prediction]], float]
    chance: Callable[[Sequence[Prediction]], float]

    def units(self, predictions: Sequence[Prediction]) -> list[Unit]:
        groups: dict[str, list[Prediction]] = defaultdict(list)
        for row in sorted(predictions, key=lambda row: row.query):
            groups[row.group].append(row)
        return [
            Unit(group, rows[0].cluster, self.per_group(rows), self.chance(rows))
            for group, rows in sorted(groups.items())
        ]


@dataclass(frozen=True)
class ClassMetric:
    """The mean over classes of a per-query metric's mean (mean per-class recall); the class is the right answer."""

    name: str
    metric: Metric

    def units(self, predictions: Sequence[Prediction]) -> list[Unit]:
        classes: dict[str, list[Unit]] = defaultdict(list)
        for row in sorted(predictions, key=lambda row: row.query):
            classes["+".join(sorted(target.key for target in row.targets))] += self.metric.units([row])
        return [
            Unit(key, "", float(np.mean([u.value for u in rows])), float(np.mean([u.chance for u in rows])))
            for key, rows in sorted(classes.items())
        ]


def all_tied(prediction: Prediction) -> Prediction:
    """The same query as an encoder that cannot tell any bundle from another would answer it."""
    tied = prediction.pool - 1
    return replace(prediction, targets=tuple(replace(target, above=0, tied=tied) for target in prediction.targets))


def expected(place: Place, prediction: Prediction) -> float:
    """E[max over targets of gain x place]: summed over the levels of gain, as each level has one first hit.

    For gains of 1 this is the worth of the first relevant bundle. Raises ValueError for a query without targets.
    """
    return sum(share * place(above, size, hits) for share, above, size, hits in _levels(prediction))


def _levels(prediction: Prediction) -> Iterator[tuple[float, int, int, int]]:
    """(share of gain, above, size of the tie group, targets in it) of the best group, per level of gain."""
    if not prediction.targets:
        raise ValueError(f"query {prediction.query!r} has no known answers; it cannot be scored here")
    gains = sorted({target.gain for target in prediction.targets})
    for lower, gain in zip([0.0, *gains], gains, strict=False):
        able = [target for target in prediction.targets if target.gain >= gain]
        first = min(able, key=lambda target: target.above)
        hits = sum(target.above == first.above for target in able)  # a tie group is known by what stands above it
        yield gain - lower, first.above, first.tied + 1, hits


@lru_cache(maxsize=1 << 16)
def in_top(k: int, above: int, size: int, hits: int) -> float:
    """P(one of the hits is among the first k): hypergeometric. Integers throughout, so that it is correctly rounded."""
    drawn = min(k - above, size)
    if drawn <= 0:
        return 0.0
    ways = math.comb(size, drawn)
    return (ways - math.comb(size - hits, drawn)) / ways


@lru_cache(maxsize=1 << 12)
def reciprocal(above: int, size: int, hits: int) -> float:
    """E[1 / rank of the first hit]."""
    position = np.arange(size - hits + 1)  # of the first hit within its tie group, from 0
    missed = np.concatenate([[1.0], np.cumprod((size - hits - position[:-1]) / (size - position[:-1]))])
    return float(np.sum(missed * hits / (size - position) / (above + 1 + position)))


def strictly_first(above: int, size: int, hits: int) -> float:
    """1 where nothing but hits stands at the top: a tie with a wrong candidate counts as a miss."""
    return float(above == 0 and size == hits)


def all_above(prediction: Prediction) -> float:
    """P(every relevant bundle is above every other one): SugarCrepe++'s image-to-text score. Gains multiply."""
    if not prediction.targets:
        raise ValueError(f"query {prediction.query!r} has no known answers; it cannot be scored here")
    chance, seen = 1.0, 0
    for above, size, targets in _groups(prediction):
        if above > seen:  # something else stands between this tie group and the better answers
            return 0.0
        seen += len(targets)
        last = seen == len(prediction.targets)
        if len(targets) < size:
            chance *= 1 / math.comb(size, len(targets)) if last else 0.0
    return chance * math.prod(target.gain for target in prediction.targets)


def all_strictly_above(prediction: Prediction) -> float:
    """`all_above` where a tie with a wrong candidate counts as a miss, as the publisher's code has it."""
    return float(all_above(prediction) == math.prod(target.gain for target in prediction.targets))


def average_precision(k: int, prediction: Prediction) -> float:
    """E[AP@k] = sum over relevant ranks i <= k of precision(i), over min(k, number of relevant) (CIRCO's mAP@k).

    Within a tie group of `size` with h hits, a rank holds a hit with probability h / size, and then the earlier ranks
    of the group hold on average (h - 1) / (size - 1) hits each. Hits count as their gain.
    """
    if not prediction.targets:
        raise ValueError(f"query {prediction.query!r} has no known answers; it cannot be scored here")
    total, found = 0.0, 0.0
    for above, size, targets in _groups(prediction):
        hits = sum(target.gain for target in targets)
        mean = hits / len(targets)
        others = mean * (len(targets) - 1) / (size - 1) if size > 1 else 0.0
        ranks = np.arange(1, min(size, k - above) + 1)
        total += float(np.sum((found + mean + others * (ranks - 1)) / (above + ranks))) * len(targets) / size * mean
        found += hits
    return total / min(k, len(prediction.targets))


def _groups(prediction: Prediction) -> Iterator[tuple[int, int, list[TargetRank]]]:
    """(bundles above, size of the tie group, targets in it), best first."""
    groups: dict[int, list[TargetRank]] = defaultdict(list)
    for target in prediction.targets:
        groups[target.above].append(target)
    for above, targets in sorted(groups.items()):
        yield above, targets[0].tied + 1, targets


def _mean_of(metrics: Sequence[PerQuery], prediction: Prediction) -> float:
    return sum(metric(prediction) for metric in metrics) / len(metrics)


def _make(name: str, place: Place, guess: Place | None = None) -> Metric:
    return Metric(name, partial(expected, place), partial(expected, guess) if guess else None)


def _hit(k: int) -> Metric:
    return _make(f"hit@{k}", partial(in_top, k))


def _pairs(name: str, wins: group_metrics.Wins, strict: bool = False) -> GroupMetric:
    return GroupMetric(
        name, partial(group_metrics.probability, wins, strict=strict), partial(group_metrics.chance, wins)
    )


_ALL: tuple[Units, ...] = (
    *map(_hit, (1, 2, 3, 5, 10, 25, 50)),
    _make("mrr", reciprocal),
    # A guesser has no ties, so its strict score is its hit@1; a complete tie would score 0.
    _make("strict@1", strictly_first, guess=partial(in_top, 1)),
    *(Metric(f"map@{k}", partial(average_precision, k)) for k in (5, 10, 25, 50)),
    # FashionIQ's headline number.
    Metric("hit@10_50", partial(_mean_of, (_hit(10).per_query, _hit(50).per_query))),
    Metric("itt", all_above),
    Metric("strict_itt", all_strictly_above, guess=all_above),
    ClassMetric("class_mean@1", _hit(1)),
    # Winoground, and SugarCrepe++'s text-only test, over the joint matrix of a group's scores.
    _pairs("text_score", group_metrics.rows_right),
    _pairs("image_score", group_metrics.columns_right),
    _pairs("group_score", group_metrics.all_right),
    _pairs("strict_group_score", group_metrics.all_right, strict=True),
    _pairs("tot", group_metrics.rows_right),
    _pairs("strict_tot", group_metrics.rows_right, strict=True),
)
METRICS: dict[str, Units] = {metric.name: metric for metric in _ALL}
