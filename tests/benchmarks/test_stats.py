"""Intervals: determinism, honesty at the edges, coverage."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from benchmarks.stats import cluster_ids, count_clusters, estimate, wilson


def test_wilson_against_published_values() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29.
    for hits, trials, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)]:
        assert wilson(hits / trials, trials) == pytest.approx((low, high), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_independent_queries_get_wilson() -> None:
    values = [1.0] * 81 + [0.0] * 182
    for clusters in ([""] * 263, [f"image {number}" for number in range(263)]):
        found = estimate(values, clusters, "t")
        assert found.method == "wilson"
        assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_method_says_how_many_clusters_there_were() -> None:
    values = [1.0, 0.0, 1.0, 1.0] * 12
    assert estimate(values, [f"i{n // 2}" for n in range(48)], "t").method == "cluster bootstrap"
    assert estimate(values, [f"i{n // 6}" for n in range(48)], "t").method == "cluster bootstrap (few clusters)"


@pytest.mark.parametrize(("values", "clusters", "method"), [
    ([1.0, 0.0, 1.0, 1.0], "aaaa", "wilson (one cluster)"),
    ([1.0] * 6, "aabbcc", "wilson (clusters agree)"),
    ([0.0] * 6, "aabbcc", "wilson (clusters agree)"),
    ([1.0, 0.0] * 3, "aabbcc", "wilson (clusters agree)"),
])  # fmt: skip
def test_no_interval_collapses_to_a_point(values: list[float], clusters: str, method: str) -> None:
    found = estimate(values, list(clusters), "t")
    assert found.method == method
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.3
    assert (found.low, found.high) == wilson(found.value, len(set(clusters)))


def test_deterministic_and_independent_of_the_order_of_queries() -> None:
    numbers = np.random.default_rng(0)
    values, clusters = numbers.integers(0, 2, 200).astype(float), [f"i{n % 17}" for n in range(200)]
    order = numbers.permutation(200)
    first = estimate(values, clusters, "task/hit@1")
    assert first == estimate(values, clusters, "task/hit@1")
    assert first == estimate(values[order], [clusters[i] for i in order], "task/hit@1")
    assert first != estimate(values, clusters, "another task/hit@1")
    assert first.low < first.value < first.high


def test_clusters() -> None:
    assert cluster_ids(["b", "", "a", "b", ""]).tolist() == [1, 2, 0, 1, 3]
    assert count_clusters(["b", "", "a", "b", ""]) == 4
    with pytest.raises(ValueError, match="at least one"):
        estimate([], [], "t")


def test_alike_queries_of_one_image_widen_the_interval() -> None:
    images = np.random.default_rng(1).integers(0, 2, 40).astype(float)
    clustered = estimate(np.repeat(images, 10), [f"i{n // 10}" for n in range(400)], "t")
    assert clustered.high - clustered.low > 2 * np.subtract(*wilson(clustered.value, 400)[::-1])


def test_memory_is_flat_in_the_number_of_clusters() -> None:
    values, clusters = [0.0, 1.0, 1.0] * 20_000, [f"i{n // 2}" for n in range(60_000)]
    tracemalloc.start()
    estimate(values, clusters, "t")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 * 2**20  # 2000 resamples of 30000 clusters at once would take 480 MB


def test_coverage_over_clusters() -> None:
    """40 images of 9 alike queries: 95% intervals hold the truth about that often, those that ignore images do not."""
    numbers = np.random.default_rng(2)
    runs, held, naive = 200, 0, 0
    clusters = [f"i{n // 9}" for n in range(360)]
    for run in range(runs):
        skill = numbers.beta(1, 1, 40)  # mean 1/2
        values = (numbers.random((40, 9)) < skill[:, None]).astype(float).ravel()
        found = estimate(values, clusters, str(run))
        held += found.low <= 0.5 <= found.high
        low, high = wilson(float(values.mean()), 360)
        naive += low <= 0.5 <= high
    assert held / runs >= 0.9
    assert naive / runs <= 0.8
