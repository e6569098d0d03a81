"""Two rankings of the same questions: the difference with its interval, exact tests, and what could be told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import stats
from benchmarks.metrics import Unit
from benchmarks.types import Estimate
from fuselip.core import seeds

EXACT_BITS = 14
"""Clusters up to which all 2^14 changes of sign are counted; beyond, DRAWS of them are drawn."""

DRAWS = 10_000
CELLS = 1 << 22
"""Signs held at a time: 32 MB, whatever the number of clusters."""

DETECT = stats.Z + 0.8416212335729143
"""Standard errors that a difference must have to be found at 5% with probability 80%."""

_ROUNDING = 1e-12


def changes(first: Sequence[Unit], second: Sequence[Unit]) -> tuple[np.ndarray, list[str]]:
    """second - first for each unit, float64 [N], and the clusters. ValueError where they are not the same questions."""
    if [(unit.key, unit.cluster) for unit in first] != [(unit.key, unit.cluster) for unit in second]:
        raise ValueError("the two were not asked the same questions")
    values = [[unit.value for unit in units] for units in (first, second)]
    return np.subtract(values[1], values[0]), [unit.cluster for unit in first]


def interval(changed: np.ndarray, clusters: Sequence[str], seed_name: str) -> Estimate:
    """Mean of the changes, each in [-1, 1], with a 95% interval by cluster bootstrap.

    Where resampling could not move the mean (one cluster, or all agree), the interval allows for the share of clusters
    that can be otherwise though none of k was seen to be: Wilson's bound, z^2 / (k + z^2).
    """
    sums, sizes = _by_cluster(changed, clusters)
    value = float(changed.mean())
    if np.ptp(sums / sizes) < _ROUNDING:
        unseen = stats.wilson(0.0, len(sums))[1]
        return Estimate(value, value - unseen * (1 + value), value + unseen * (1 - value), "clusters agree")
    low, high = stats.bootstrap(sums, sizes, seed_name)
    method = "cluster bootstrap (few clusters)" if len(sums) < stats.FEW else "cluster bootstrap"
    return Estimate(value, min(low, value), max(high, value), method)


def _by_cluster(values: np.ndarray, clusters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    ids = stats.cluster_ids(clusters)
    return np.bincount(ids, weights=values), np.bincount(ids)


def p_value(first: Sequence[Unit], second: Sequence[Unit], seed_name: str) -> tuple[float, str]:
    """Two-sided p of "no difference", and the test: McNemar where units are independent and 0 or 1, else sign flips."""
    changed, clusters = changes(first, second)
    binary = all(unit.value in (0.0, 1.0) for units in (first, second) for unit in units)
    if binary and stats.count_clusters(clusters) == len(clusters):
        return mcnemar(int((changed > 0).sum()), int((changed < 0).sum())), "exact McNemar"
    return sign_flips(_by_cluster(changed, clusters)[0], seed_name)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar test: twice the binomial tail of the rarer of the two kinds of disagreement."""
    total, tail, ways = gained + lost, 0, 1
    for k in range(min(gained, lost) + 1):
        tail += ways
        ways = ways * (total - k) // (k + 1)
    return min(1.0, 2 * tail / 2**total)


def sign_flips(sums: np.ndarray, seed_name: str) -> tuple[float, str]:
    """Permutation test: which of the two is which is swapped for whole clusters, whose changes sum to `sums` [C].

    Exact where 2^C is at most 2^14 (clusters without a change count for nothing), else from 10000 seeded draws.
    """
    moved = sums[np.abs(sums) > _ROUNDING]
    if not len(moved):
        return 1.0, "exact permutation"
    observed = abs(float(moved.sum())) - _ROUNDING * len(moved)
    if len(moved) <= EXACT_BITS:
        bits = np.arange(1 << len(moved))[:, None] >> np.arange(len(moved)) & 1
        return float(np.mean(np.abs((2.0 * bits - 1) @ moved) >= observed)), "exact permutation"
    generator = seeds.generator("sign flips", seed_name)
    step, extreme = max(1, CELLS // len(moved)), 0
    for start in range(0, DRAWS, step):
        signs = 2.0 * generator.integers(0, 2, (min(step, DRAWS - start), len(moved)), dtype=np.int8) - 1
        extreme += int(np.count_nonzero(np.abs(signs @ moved) >= observed))
    return (1 + extreme) / (1 + DRAWS), "permutation"


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values: each may be compared with 5%, and all together err in 5% of cases at most."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = least
    return adjusted


def detectable(changed: np.ndarray, clusters: Sequence[str]) -> float | None:
    """The smallest mean change that as many questions would find (80% power at 5%); None where all clusters agree."""
    sums, sizes = _by_cluster(changed, clusters)
    if len(sums) < 2:
        return None
    spread = float(np.sum((sums - changed.mean() * sizes) ** 2)) * len(sums) / (len(sums) - 1)
    return DETECT * math.sqrt(spread) / len(changed) if spread > _ROUNDING else None


def needed(changed: np.ndarray, clusters: Sequence[str]) -> int | None:
    """Questions of this kind that would tell a mean change of this size from none; None where that cannot be said."""
    gap, value = detectable(changed, clusters), abs(float(changed.mean()))
    return math.ceil(len(changed) * (gap / value) ** 2) if gap and value > _ROUNDING else None


def macro(tasks: Mapping[str, tuple[np.ndarray, Sequence[str]]], seed_name: str) -> tuple[Estimate, float]:
    """Mean over tasks of their mean changes with its interval, and the p value of sign flips.

    A source image that several tasks use is drawn and flipped in all of them at once.
    """
    names = {task: [name or f"{task}/{place}" for place, name in enumerate(rows[1])] for task, rows in tasks.items()}
    index = {name: place for place, name in enumerate(sorted({name for each in names.values() for name in each}))}
    ids = {task: np.array([index[name] for name in each]) for task, each in names.items()}
    sums = np.stack([np.bincount(ids[task], tasks[task][0], len(index)) for task in tasks], axis=1)
    sizes = np.stack([np.bincount(ids[task], minlength=len(index)) for task in tasks], axis=1)
    means = sums.sum(axis=0) / sizes.sum(axis=0)
    generator, found = seeds.generator("macro bootstrap", seed_name), []
    step = max(1, stats.DRAWS // len(index))
    for start in range(0, stats.RESAMPLES, step):
        rows = min(step, stats.RESAMPLES - start)
        drawn = generator.multinomial(len(index), np.full(len(index), 1 / len(index)), size=rows)
        totals, counts = drawn @ sums, drawn @ sizes
        # A small task may be missing from a draw of all tasks' images: then it stays at its mean.
        found.append(np.where(counts > 0, totals / np.maximum(counts, 1), means).mean(axis=1))
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5])
    value = float(means.mean())
    p, _ = sign_flips((sums / sizes.sum(axis=0)).mean(axis=1), seed_name)
    return Estimate(value, min(float(low), value), max(float(high), value), "cluster bootstrap"), p
