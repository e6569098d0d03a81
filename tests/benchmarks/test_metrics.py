"""Metrics against brute force over every order of ties."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_cases import ask, data_of, orders, prediction

from benchmarks.metrics import METRICS, in_top, reciprocal
from benchmarks.score import Pool, predict
from benchmarks.types import Prediction

LEVELS = [0.9, 0.5, 0.1]


def brute(name: str, order: tuple[int, ...], gains: list[float]) -> float:
    """A metric of one total order, straight from its definition."""
    ranked = [gains[bundle] for bundle in order]
    if name == "mrr":
        return _layered_mrr(ranked)
    k = int(name.removeprefix("strict@").removeprefix("hit@"))
    return max(ranked[:k])


def _layered_mrr(ranked: list[float]) -> float:
    """Over the levels of gain, 1 / rank of the first bundle of at least that gain."""
    total, lower = 0.0, 0.0
    for level in sorted({gain for gain in ranked if gain > 0}):
        rank = next(place for place, gain in enumerate(ranked, 1) if gain >= level)
        total += (level - lower) / rank
        lower = level
    return total


@st.composite
def ranked_pools(draw: st.DrawFn) -> tuple[Prediction, list[float], list[float]]:
    """A prediction of up to 6 bundles (with copies in them), the scores and the gains it came from."""
    size = draw(st.integers(1, 6))
    scores = [draw(st.sampled_from(LEVELS)) for _ in range(size)]
    members = [draw(st.integers(1, 3)) for _ in range(size)]
    relevant = [draw(st.integers(0, count)) for count in members]
    if not any(relevant):
        relevant[draw(st.integers(0, size - 1))] = 1
    texts = {f"{bundle}-{copy}": f"text {bundle}" for bundle in range(size) for copy in range(members[bundle])}
    answers = {f"{bundle}-{copy}": 1.0 for bundle in range(size) for copy in range(relevant[bundle])}
    data = data_of(texts, ask("q", answers))
    pool = Pool.of(data.queries[0], data)
    at = [pool.bundle_of[f"{bundle}-0"] for bundle in range(size)]
    placed = np.zeros(size)
    placed[at] = scores
    gains = [count / total for count, total in zip(relevant, members, strict=True)]
    return predict(data.queries[0], pool, placed), scores, gains


@settings(max_examples=150, deadline=None)
@given(ranked_pools())
def test_expected_value_is_the_mean_over_all_orders_of_ties(case: tuple[Prediction, list[float], list[float]]) -> None:
    found, scores, gains = case
    for name in ("hit@1", "hit@5", "mrr"):
        wanted = np.mean([brute(name, order, gains) for order in orders(scores)])
        assert METRICS[name].per_query(found) == pytest.approx(wanted, abs=1e-12), name


@settings(max_examples=100, deadline=None)
@given(ranked_pools())
def test_chance_is_the_mean_over_all_rankings_and_the_score_of_a_complete_tie(
    case: tuple[Prediction, list[float], list[float]],
) -> None:
    found, scores, gains = case
    every = list(permutations(range(len(scores))))
    for name, metric in METRICS.items():
        wanted = np.mean([brute(name, order, gains) for order in every])
        assert metric.chance(found) == pytest.approx(wanted, abs=1e-12), name


def test_hand_made() -> None:
    second_of_nine = prediction(9, (1, 0, 1.0))
    assert [METRICS[name].per_query(second_of_nine) for name in METRICS] == [0, 1, 0.5, 0]
    assert METRICS["hit@1"].chance(second_of_nine) == 1 / 9
    half_of_a_bundle = prediction(4, (0, 0, 0.5))
    assert METRICS["hit@1"].per_query(half_of_a_bundle) == 0.5
    assert METRICS["hit@1"].chance(half_of_a_bundle) == 0.125
    straddling = prediction(10, (4, 2, 1.0))  # ranks 5, 6 or 7
    assert METRICS["hit@5"].per_query(straddling) == 1 / 3
    two_in_the_tie = prediction(10, (4, 2, 1.0), (4, 2, 1.0))
    assert METRICS["hit@5"].per_query(two_in_the_tie) == 2 / 3


def test_strict_differs_from_expected_only_where_a_wrong_candidate_ties() -> None:
    strict = METRICS["strict@1"]
    assert strict.per_query(prediction(4, (0, 1, 1.0))) == 0
    assert METRICS["hit@1"].per_query(prediction(4, (0, 1, 1.0))) == 0.5
    assert strict.per_query(prediction(4, (0, 1, 1.0), (0, 1, 1.0))) == 1
    assert strict.chance(prediction(4, (0, 1, 1.0))) == 0.25


def test_a_large_tie_is_exact_and_finite() -> None:
    assert in_top(1, 0, 100_000, 1) == 1e-5
    assert in_top(5, 0, 100_000, 3) == pytest.approx(15e-5, rel=1e-3)
    assert reciprocal(0, 100_000, 1) == pytest.approx(sum(1 / rank for rank in range(1, 100_001)) / 100_000, rel=1e-9)


def test_a_query_without_known_answers_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="no known answers"):
        METRICS["hit@1"].per_query(prediction(4))
