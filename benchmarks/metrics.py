"""Metrics: pure functions of one Prediction, each an exact expectation over a uniformly random order of ties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from benchmarks.types import Prediction

PerQuery = Callable[[Prediction], float]
Place = Callable[[int, int, int], float]
"""f(above, size, hits): worth of the first hit where `hits` of `size` tied bundles are relevant, with `above` above."""


@dataclass(frozen=True)
class Metric:
    """A number in [0, 1] per query. `guess` gives its chance where that is not the score of a complete tie."""

    name: str
    per_query: PerQuery
    guess: PerQuery | None = None

    def chance(self, prediction: Prediction) -> float:
        """What a uniform guess scores on this query, exactly; needs only the pool's size and the targets' gains."""
        return (self.guess or self.per_query)(all_tied(prediction))


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


def _make(name: str, place: Place, guess: Place | None = None) -> Metric:
    return Metric(name, partial(expected, place), partial(expected, guess) if guess else None)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _make("hit@1", partial(in_top, 1)),
        _make("hit@5", partial(in_top, 5)),
        _make("mrr", reciprocal),
        # A guesser has no ties, so its strict score is its hit@1; a complete tie would score 0.
        _make("strict@1", strictly_first, guess=partial(in_top, 1)),
    )
}
