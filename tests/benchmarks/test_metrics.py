"""Metrics against brute force over every order of ties."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_cases import ask, data_of, orders, prediction

from benchmarks.metrics import METRICS, ClassMetric, GroupMetric, Metric, in_top, reciprocal
from benchmarks.score import Pool, predict
from benchmarks.types import Prediction, TargetRank

LEVELS = [0.9, 0.5, 0.1]
PER_QUERY = {name: metric for name, metric in METRICS.items() if isinstance(metric, Metric)}


def brute(name: str, order: tuple[int, ...], gains: list[float]) -> float:
    """A metric of one total order, straight from its definition."""
    ranked = [gains[bundle] for bundle in order]
    if name == "mrr":
        return _layered_mrr(ranked)
    if name == "hit@10_50":
        return (max(ranked[:10]) + max(ranked[:50])) / 2
    if name in ("itt", "strict_itt"):
        relevant = [gain for gain in ranked if gain > 0]
        return math.prod(relevant) if all(gain > 0 for gain in ranked[: len(relevant)]) else 0.0
    k = int(name.partition("@")[2])
    return _ap(ranked, k) if name.startswith("map@") else max(ranked[:k])


def _ap(ranked: list[float], k: int) -> float:
    """Where all gains are 1: the mean, over the answers that could be in the top k, of the precision at each."""
    hits = [place for place, gain in enumerate(ranked, 1) if gain > 0]
    found = sum((number / place) for number, place in enumerate(hits, 1) if place <= k)
    return found / min(k, len(hits))


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
    for name in ("hit@1", "hit@5", "mrr", "itt", "map@5", "hit@10_50"):
        if defined(name, gains):
            wanted = np.mean([brute(name, order, gains) for order in orders(scores)])
            assert PER_QUERY[name].per_query(found) == pytest.approx(wanted, abs=1e-12), name


def defined(name: str, gains: list[float]) -> bool:
    """An answer that shares its bundle with a wrong one has no agreed average precision."""
    return not name.startswith("map@") or all(gain in (0, 1) for gain in gains)


@settings(max_examples=100, deadline=None)
@given(ranked_pools())
def test_chance_is_the_mean_over_all_rankings_and_the_score_of_a_complete_tie(
    case: tuple[Prediction, list[float], list[float]],
) -> None:
    found, scores, gains = case
    every = list(permutations(range(len(scores))))
    for name, metric in PER_QUERY.items():
        if defined(name, gains):
            wanted = np.mean([brute(name, order, gains) for order in every])
            assert metric.chance(found) == pytest.approx(wanted, abs=1e-12), name


def test_hand_made() -> None:
    second_of_nine = prediction(9, (1, 0, 1.0))
    assert [PER_QUERY[name].per_query(second_of_nine) for name in ("hit@1", "hit@5", "mrr", "strict@1")] == [
        0,
        1,
        0.5,
        0,
    ]
    assert PER_QUERY["hit@1"].chance(second_of_nine) == 1 / 9
    half_of_a_bundle = prediction(4, (0, 0, 0.5))
    assert PER_QUERY["hit@1"].per_query(half_of_a_bundle) == 0.5
    assert PER_QUERY["hit@1"].chance(half_of_a_bundle) == 0.125
    straddling = prediction(10, (4, 2, 1.0))  # ranks 5, 6 or 7
    assert PER_QUERY["hit@5"].per_query(straddling) == 1 / 3
    two_in_the_tie = prediction(10, (4, 2, 1.0), (4, 2, 1.0))
    assert PER_QUERY["hit@5"].per_query(two_in_the_tie) == 2 / 3


def test_strict_differs_from_expected_only_where_a_wrong_candidate_ties() -> None:
    strict = PER_QUERY["strict@1"]
    assert strict.per_query(prediction(4, (0, 1, 1.0))) == 0
    assert PER_QUERY["hit@1"].per_query(prediction(4, (0, 1, 1.0))) == 0.5
    assert strict.per_query(prediction(4, (0, 1, 1.0), (0, 1, 1.0))) == 1
    assert strict.chance(prediction(4, (0, 1, 1.0))) == 0.25


def test_a_large_tie_is_exact_and_finite() -> None:
    assert in_top(1, 0, 100_000, 1) == 1e-5
    assert in_top(5, 0, 100_000, 3) == pytest.approx(15e-5, rel=1e-3)
    assert reciprocal(0, 100_000, 1) == pytest.approx(sum(1 / rank for rank in range(1, 100_001)) / 100_000, rel=1e-9)


def test_a_query_without_known_answers_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="no known answers"):
        PER_QUERY["hit@1"].per_query(prediction(4))


def test_average_precision_by_hand() -> None:
    first_and_third = prediction(10, (0, 0, 1.0), (2, 0, 1.0))
    assert PER_QUERY["map@5"].per_query(first_and_third) == pytest.approx((1 + 2 / 3) / 2)
    beyond = prediction(100, (0, 0, 1.0), (6, 0, 1.0))
    assert PER_QUERY["map@5"].per_query(beyond) == 0.5
    assert PER_QUERY["map@10"].per_query(beyond) == pytest.approx((1 + 2 / 7) / 2)
    seven = prediction(100, *((place, 0, 1.0) for place in range(5)), (50, 0, 1.0), (51, 0, 1.0))
    assert PER_QUERY["map@5"].per_query(seven) == 1, "the denominator is min(k, answers), as CIRCO has it"


def test_both_positives_must_beat_the_negative() -> None:
    itt, strict = PER_QUERY["itt"], PER_QUERY["strict_itt"]
    right = prediction(3, (0, 0, 1.0), (1, 0, 1.0))
    wrong = prediction(3, (0, 0, 1.0), (2, 0, 1.0))
    tie_below = prediction(3, (0, 0, 1.0), (1, 1, 1.0))
    assert [itt.per_query(row) for row in (right, wrong, tie_below)] == [1, 0, 0.5]
    assert [strict.per_query(row) for row in (right, wrong, tie_below)] == [1, 0, 0]
    assert itt.chance(right) == strict.chance(right) == pytest.approx(1 / 3)


def winoground(scores: tuple[float, float, float, float]) -> list[Prediction]:
    """Scores of (image 0, caption 0), (0, 1), (1, 0), (1, 1)."""
    rows = []
    for image in (0, 1):
        top = [(f"c{caption}", scores[2 * image + caption]) for caption in (0, 1)]
        top.sort(key=lambda pair: -pair[1])
        target = (TargetRank(f"c{image}", 0, 0, 1.0),)
        rows.append(Prediction(f"i{image}", "", "g", {}, 2, target, tuple(top)))
    return rows


@pytest.mark.parametrize(
    ("scores", "text", "image", "group", "strict"),
    [
        ((0.9, 0.1, 0.2, 0.8), 1, 1, 1, 1),
        ((0.9, 0.1, 0.95, 0.99), 1, 0, 0, 0),  # caption 0 likes image 1 better
        ((0.9, 0.95, 0.1, 0.99), 0, 1, 0, 0),
        ((0.5, 0.5, 0.5, 0.5), 1 / 4, 1 / 4, 1 / 6, 0),
        ((0.5, 0.5, 0.1, 0.9), 1 / 2, 1, 1 / 2, 0),
    ],
)
def test_winoground_by_hand(
    scores: tuple[float, float, float, float], text: float, image: float, group: float, strict: float
) -> None:
    rows = winoground(scores)
    found = [METRICS[f"{name}_score"].units(rows) for name in ("text", "image", "group", "strict_group")]
    assert [unit.value for [unit] in found] == pytest.approx([text, image, group, strict])
    assert [unit.chance for [unit] in found] == pytest.approx([1 / 4, 1 / 4, 1 / 6, 1 / 6])


def test_text_only_pairs_share_the_score_of_the_positives() -> None:
    """SugarCrepe++ TOT: sim(p1, p2) above sim(p1, n) and sim(p2, n); three distinct scores, so chance is 1/3."""

    def rows(both: float, first: float, second: float) -> list[Prediction]:
        made = []
        for own, other, wrong in (("p1", "p2", first), ("p2", "p1", second)):
            top = tuple(sorted([(other, both), ("n", wrong)], key=lambda pair: -pair[1]))
            made.append(Prediction(own, "", "g", {"self": own}, 2, (TargetRank(other, 0, 0, 1.0),), top))
        return made

    tot = METRICS["tot"]
    cases = [rows(0.9, 0.1, 0.2), rows(0.9, 0.95, 0.2), rows(0.9, 0.9, 0.2), rows(0.3, 0.3, 0.3)]
    assert [tot.units(case)[0].value for case in cases] == pytest.approx([1, 0, 1 / 2, 1 / 3])
    assert tot.units(cases[0])[0].chance == pytest.approx(1 / 3)
    assert METRICS["strict_tot"].units(cases[2])[0].value == 0


def test_classes_weigh_alike() -> None:
    metric = METRICS["class_mean@1"]
    assert isinstance(metric, ClassMetric)
    assert not isinstance(metric, GroupMetric)
    rows = [prediction(2, (0, 0, 1.0), query=f"a{number}") for number in range(3)]
    other = Prediction("b", "", "", {}, 2, (TargetRank("other", 1, 0, 1.0),), (("t0", 0.5), ("other", 0.1)))
    assert [(unit.key, unit.value) for unit in metric.units([*rows, other])] == [("other", 0.0), ("t0", 1.0)]
