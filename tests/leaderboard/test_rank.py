"""Ranking: against the bootstrap and sign flips of `benchmarks.paired`, and on simulated encoders that are equal."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import paired, stats
from leaderboard import rank
from leaderboard.rank import TaskUnits

MIXED = [("photos", 12, 4), ("photos", 12, 4), ("scenes", 50, 1)]


def asked(seed: int, skill: np.ndarray, design: list[tuple[str, int, int]], spread: float = 0.15) -> list[TaskUnits]:
    """Units of rows by `skill` [rows, 1]; (source, images, units each): an image is hard for all, and for a row."""
    generator = np.random.default_rng(seed)
    hard: dict[str, np.ndarray] = {}
    tasks = []
    for at, (source, images, each) in enumerate(design):
        if source not in hard:
            hard[source] = generator.normal(0, spread, (1, images)) + generator.normal(0, spread, (len(skill), images))
        share = np.repeat(np.clip(skill + hard[source], 0.02, 0.98), each, axis=1)
        values = (generator.random(share.shape) < share).astype(np.float64)
        names = [f"{source}-{image}" for image in range(images) for _ in range(each)]
        tasks.append(TaskUnits(f"task{at}", 0.1 * at, names, values))
    return tasks


def by_hand(tasks: list[TaskUnits], i: int, j: int) -> tuple[paired.Estimate, float]:
    """The difference of two rows as `benchmarks.paired.macro` tells it, in chance-normalised shares."""
    changes = {task.name: ((task.values[i] - task.values[j]) / (1 - task.chance), task.clusters) for task in tasks}
    return paired.macro(changes, "test")


def test_averages_are_macro_means_of_normalised_scores() -> None:
    tasks = asked(0, np.array([[0.3], [0.8]]), MIXED)
    wanted = np.mean([(task.values.mean(axis=1) - task.chance) / (1 - task.chance) for task in tasks], axis=0)
    found = rank.standing(tasks)
    assert np.allclose(found.means, wanted)
    assert found.clusters == 62
    assert sorted(np.bincount(found.sources)) == [12, 50]


def test_differences_and_margins_agree_with_the_bootstrap_and_p_values_with_sign_flips() -> None:
    tasks = asked(1, np.array([[0.5], [0.5], [0.55], [0.6], [0.7], [0.85]]), MIXED)
    tests = rank.pairs(rank.standing(tasks))
    for i in range(6):
        for j in range(i + 1, 6):
            estimate, flips = by_hand(tasks, i, j)
            alone = rank.pairs(
                rank.standing([TaskUnits(t.name, t.chance, t.clusters, t.values[[i, j]]) for t in tasks])
            )
            p = alone.p[0, 1]  # of one pair: not corrected
            assert estimate.value == pytest.approx(tests.difference[i, j])
            assert tests.difference[j, i] == -tests.difference[i, j]
            assert 0.8 < 2 * alone.margin[0, 1] / (estimate.high - estimate.low) < 1.3
            assert (p < 0.001) == (flips < 0.001) or 0.0002 < p < 0.005
            if flips > 0.02:
                assert 0.6 < p / flips < 1.7
    assert list(tests.better[5, :3]) == [True] * 3
    assert not tests.better[:3, :3].any()


def test_one_task_of_single_questions_is_students_t_test() -> None:
    from scipy.stats import ttest_1samp

    generator = np.random.default_rng(0)
    values = generator.random((2, 30))
    tests = rank.pairs(rank.standing([TaskUnits("t", 0.0, [""] * 30, values)]))
    known = ttest_1samp(values[0] - values[1], 0)
    # The fourth powers may take some of the 29 degrees of freedom.
    assert tests.p[0, 1] == pytest.approx(known.pvalue, rel=0.02)


@pytest.mark.parametrize(
    ("design", "rows"),
    [
        ([("scenes", 40, 1)], 10),
        ([("photos", 5, 9)] * 5 + [("scenes", 60, 1)] * 5, 12),
        ([("photos", 5, 9), ("scenes", 60, 1)], 12),
        ([("photos", 5, 9)], 6),
    ],
)
def test_equal_encoders_are_seldom_told_apart(design: list[tuple[str, int, int]], rows: int) -> None:
    runs = 200
    wrong = sum(
        bool(rank.pairs(rank.standing(asked(seed, np.full((rows, 1), 0.6), design, 0.25))).better.any())
        for seed in range(runs)
    )
    # Family-wise 5% is 10 of 200, with a standard deviation of 3.1.
    assert wrong <= 16


def test_intervals_hold_the_true_average_in_95_percent_of_cases() -> None:
    runs, held = 200, 0
    for seed in range(runs):
        # Without clipping or image effects the expected average is known: 0.6 of a chance of 0, then of 0.1.
        tasks = asked(seed, np.full((4, 1), 0.6), [("a", 30, 2), ("b", 30, 1)], 0.0)
        low, high = rank.intervals(rank.standing(tasks))
        truth = np.mean([0.6, (0.6 - 0.1) / 0.9])
        held += int(((low <= truth) & (truth <= high)).sum())
    assert 0.93 < held / (4 * runs) < 0.97


def test_bands_follow_from_significant_pairs() -> None:
    tasks = asked(3, np.array([[0.9], [0.5], [0.52], [0.1]]), [("scenes", 200, 1)] * 2)
    best, worst = rank.bands(rank.pairs(rank.standing(tasks)))
    assert best.tolist() == [1, 2, 2, 4]
    assert worst.tolist() == [1, 3, 3, 4]


def test_identical_rows_are_never_separated_and_share_a_band() -> None:
    tasks = asked(4, np.array([[0.9], [0.5], [0.2]]), MIXED)
    doubled = [TaskUnits(t.name, t.chance, t.clusters, t.values[[0, 0, 1, 1, 1, 2]]) for t in tasks]
    tests = rank.pairs(rank.standing(doubled))
    best, worst = rank.bands(tests)
    assert tests.p[0, 1] == tests.p[2, 3] == tests.p[3, 4] == 1.0
    assert not tests.margin[0, 1] > 0
    assert best.tolist() == [1, 1, 3, 3, 3, 6]
    assert worst.tolist() == [2, 2, 5, 5, 5, 6]


def test_few_clusters_that_all_agree_prove_no_more_than_sign_flips_would() -> None:
    for count in (1, 2, 5, 12):
        names = [f"photo{at}" for at in range(count) for _ in range(20)]
        values = np.stack([np.ones(len(names)), np.zeros(len(names))])
        found = rank.standing([TaskUnits("t", 0.0, names, values)])
        p = rank.pairs(found).p[0, 1]
        assert p >= paired.sign_flips(np.full(count, 20.0), "test")[0] - 1e-12
        assert found.few == (count < stats.FEW)
        low, high = rank.intervals(found)
        assert low[0] < 1
        assert high[1] > 0


def test_a_task_of_one_image_tells_nobody_apart() -> None:
    values = np.stack([np.ones(50), np.zeros(50)])
    tests = rank.pairs(rank.standing([TaskUnits("t", 0.0, ["photo"] * 50, values)]))
    assert not tests.better.any()


def test_units_without_an_image_are_clusters_of_their_own_in_every_task() -> None:
    values = np.random.default_rng(0).random((2, 5))
    found = rank.standing([TaskUnits(name, 0.0, [""] * 5, values) for name in ("a", "b")])
    assert found.clusters == 10
    shared = rank.standing([TaskUnits(name, 0.0, list("vwxyz"), values) for name in ("a", "b")])
    assert shared.clusters == 5
    # The same images twice are no more evidence than once.
    once = rank.standing([TaskUnits("a", 0.0, list("vwxyz"), values)])
    assert np.allclose(shared.residuals, once.residuals)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 1000))
def test_the_order_of_rows_and_units_makes_no_difference(order: list[int], seed: int) -> None:
    tasks = asked(seed, np.linspace(0.1, 0.9, 6)[:, None], MIXED)
    shuffled = []
    for task in tasks:
        mixed = np.random.default_rng(seed).permutation(len(task.clusters))
        names = [task.clusters[at] for at in mixed]
        shuffled.append(TaskUnits(task.name, task.chance, names, task.values[order][:, mixed]))
    one, other = rank.pairs(rank.standing(tasks)), rank.pairs(rank.standing(shuffled))
    assert np.allclose(one.p[np.ix_(order, order)], other.p, rtol=1e-6, atol=1e-12)
    assert np.array_equal(rank.bands(one)[0][order], rank.bands(other)[0])


def test_a_single_row_has_an_average_and_the_first_rank() -> None:
    found = rank.standing(asked(5, np.array([[0.5]]), MIXED))
    assert [part.tolist() for part in rank.bands(rank.pairs(found))] == [[1], [1]]
    low, high = rank.intervals(found)
    assert low[0] < found.means[0] < high[0]


def test_500_rows_of_60_tasks_take_seconds() -> None:
    skill = np.random.default_rng(0).uniform(0.1, 0.9, (500, 1))
    tasks = asked(6, skill, [(f"source{at % 6}", 60, 2) for at in range(60)])
    begun = time.process_time()
    best, worst = rank.bands(rank.pairs(rank.standing(tasks)))
    assert time.process_time() - begun < 20
    assert (best <= worst).all()
