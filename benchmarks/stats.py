"""Intervals: how far a mean over queries could be off, given that queries of one source image are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.types import Estimate
from fuselip.core import seeds

LEVEL = 0.95
Z = 1.959963984540054
RESAMPLES = 2000
FEW = 10
DRAWS = 1 << 21
"""Clusters drawn at a time: 16 MB of indices, whatever the number of clusters."""


def estimate(values: Sequence[float], clusters: Sequence[str], seed_name: str) -> Estimate:
    """Mean of `values` (one per query, in [0, 1]) with a 95% interval; `clusters` names each query's source.

    Cluster bootstrap where a source has several queries, else Wilson. Where resampling could not move the mean (one
    cluster, or clusters that all agree) the bootstrap would claim certainty: Wilson then, with clusters as trials.
    The same values, clusters and seed name give the same interval. Raises ValueError for no values.
    """
    if not len(values) or len(values) != len(clusters):
        raise ValueError(f"{len(values)} values of {len(clusters)} queries: there must be one each, and at least one")
    array = np.asarray(values, dtype=np.float64)
    ids = cluster_ids(clusters)
    count = int(ids.max()) + 1
    value = float(array.mean())
    if count == len(array):
        return Estimate(value, *wilson(value, count), "wilson")
    sums, sizes = np.bincount(ids, weights=array), np.bincount(ids)
    if count == 1:
        return Estimate(value, *wilson(value, 1), "wilson (one cluster)")
    if np.ptp(sums / sizes) < 1e-12:
        return Estimate(value, *wilson(value, count), "wilson (clusters agree)")
    low, high = bootstrap(sums, sizes, seed_name)
    # Far from symmetric and very few clusters: the percentile interval can miss its own centre by rounding.
    method = "cluster bootstrap (few clusters)" if count < FEW else "cluster bootstrap"
    return Estimate(value, min(low, value), max(high, value), method)


def cluster_ids(clusters: Sequence[str]) -> np.ndarray:
    """int64 [N]: 0, 1, ... per distinct cluster in order of name; a query without one ("") is a cluster of its own.

    By name, so that the draws do not depend on the order of the queries.
    """
    named = sorted({cluster for cluster in clusters if cluster})
    index = {cluster: number for number, cluster in enumerate(named)}
    alone = len(named)
    ids = np.empty(len(clusters), dtype=np.int64)
    for position, cluster in enumerate(clusters):
        ids[position] = index[cluster] if cluster else alone
        alone += not cluster
    return ids


def count_clusters(clusters: Sequence[str]) -> int:
    return len({cluster for cluster in clusters if cluster}) + sum(not cluster for cluster in clusters)


def wilson(value: float, trials: int) -> tuple[float, float]:
    """Wilson's score interval of a share. For values between 0 and 1 it is wider than needed, never narrower."""
    centre = (value + Z * Z / (2 * trials)) / (1 + Z * Z / trials)
    margin = Z / (1 + Z * Z / trials) * math.sqrt(value * (1 - value) / trials + Z * Z / (4 * trials * trials))
    return min(value, max(0.0, centre - margin)), max(value, min(1.0, centre + margin))


def bootstrap(sums: np.ndarray, sizes: np.ndarray, seed_name: str) -> tuple[float, float]:
    """Percentile interval of sum(sums) / sum(sizes) over resampled clusters."""
    generator = seeds.generator("cluster bootstrap", seed_name)
    means = []
    step = max(1, DRAWS // len(sums))
    for start in range(0, RESAMPLES, step):
        drawn = generator.integers(len(sums), size=(min(step, RESAMPLES - start), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return float(low), float(high)
