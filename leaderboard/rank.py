"""Ranking: which rows differ, from paired tests of all pairs at once, and the band of ranks that leaves each.

A row's average is the mean over tasks of its chance-normalised scores. Its variance comes from source images
(clusters): an image that several tasks ask about counts once, with the sum of what it does in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import paired, stats

LEVEL = 1 - stats.LEVEL
_ROUNDING = 1e-12


@dataclass(frozen=True)
class TaskUnits:
    """One task's main metric: `values` float64 [N rows, U units] in [0, 1], `clusters` names the unit's source image.

    `chance` is the mean chance of the units; where it is 1 the task tells nothing, and every row has 0.
    """

    name: str
    chance: float
    clusters: Sequence[str]
    values: np.ndarray


@dataclass(frozen=True)
class Standing:
    """Averages [N] of N rows over some tasks, and what each of C clusters adds to their error, [N, C].

    `residuals` are scaled such that their squares sum to the variance. `sources` int [C] numbers the picture sources:
    clusters of different ones share no task. `least` is the average of a row that gets everything wrong.
    """

    means: np.ndarray
    residuals: np.ndarray
    sources: np.ndarray
    least: float

    @property
    def clusters(self) -> int:
        return self.residuals.shape[1]

    @property
    def few(self) -> bool:
        """So few source images that intervals are rough, and tests find little."""
        return self.clusters < stats.FEW


@dataclass(frozen=True)
class PairTests:
    """All pairs of N rows, [N, N] each: `difference` row - column, `margin` half its 95% interval, `p` after Holm."""

    difference: np.ndarray
    margin: np.ndarray
    p: np.ndarray

    @property
    def better(self) -> np.ndarray:
        """bool [N, N]: the row is significantly better than the column, at 5% for all pairs together."""
        return (self.p <= LEVEL) & (self.difference > 0)


def standing(tasks: Sequence[TaskUnits]) -> Standing:
    """Averages and residuals of the same N rows over `tasks`, each of which counts 1/T.

    A task of C clusters scales its part by sqrt(C / (C - 1)). One with a single cluster cannot tell how much images
    differ: its whole score is taken for error then, which makes the difference of two rows as uncertain as it is large.
    """
    # As in paired.macro: a unit that names no image is its own cluster, and no other task's.
    names = [[name or f"{task.name}/{place}" for place, name in enumerate(task.clusters)] for task in tasks]
    index = {name: place for place, name in enumerate(sorted({name for each in names for name in each}))}
    rows = len(tasks[0].values)
    means, residuals, sources = np.zeros(rows), np.zeros((rows, len(index))), np.arange(len(index))
    for task, named in zip(tasks, names, strict=True):
        assert task.values.shape == (rows, len(named)), f"{task.name}: {task.values.shape} values of {len(named)} units"
        values = (task.values - task.chance) * _scale(task) / len(tasks)
        ids = np.array([index[name] for name in named])
        order = np.argsort(ids, kind="stable")
        held, starts, sizes = np.unique(ids[order], return_index=True, return_counts=True)
        mean = values.mean(axis=1)
        sums = np.add.reduceat(values[:, order], starts, axis=1)
        count = len(held)
        off = (sums - sizes * mean[:, None]) * np.sqrt(count / (count - 1)) if count > 1 else sums
        residuals[:, held] += off / len(named)
        means += mean
        joined = np.unique(sources[held])
        sources[np.isin(sources, joined)] = joined[0]
    least = float(np.mean([-task.chance * _scale(task) for task in tasks]))
    return Standing(means, residuals, np.unique(sources, return_inverse=True)[1], least)


def _scale(task: TaskUnits) -> float:
    return 1 / (1 - task.chance) if task.chance < 1 else 0.0


def intervals(found: Standing) -> tuple[np.ndarray, np.ndarray]:
    """95% interval of each row's average, low [N] and high [N].

    Where all clusters of a row agree, the interval allows for the share of clusters that can be otherwise though none
    was seen to be (Wilson's bound, as in `benchmarks.paired.interval`).
    """
    squares = found.residuals**2
    parts = [squares[:, held].sum(axis=1) for held in _by_source(found)]
    variance = squares.sum(axis=1)
    margin = _quantile(_freedom(parts, (squares**2).sum(axis=1), found)) * np.sqrt(variance)
    unseen = stats.wilson(0.0, found.clusters)[1]
    agree = variance < _ROUNDING**2
    low = np.where(agree, found.means - unseen * (found.means - found.least), found.means - margin)
    high = np.where(agree, found.means + unseen * (1 - found.means), found.means + margin)
    return np.maximum(low, found.least), np.minimum(high, 1.0)


def pairs(found: Standing) -> PairTests:
    """Tests of every pair by Student's t with clusters as observations, adjusted by Holm over all pairs.

    A difference's residuals are differences of residuals, so sums of their squares and fourth powers for all pairs
    follow from matrix products. No p value is below that of exact sign flips when all C clusters agree, 2^(1 - C).
    """
    upper = np.triu_indices(len(found.means), 1)
    squares = found.residuals**2
    threes = found.residuals**3 @ found.residuals.T
    fourth = _crossed((squares**2).sum(axis=1)) - 4 * (threes + threes.T) + 6 * squares @ squares.T
    parts = [_apart(found.residuals[:, held])[upper] for held in _by_source(found)]
    difference = found.means[:, None] - found.means
    difference[np.abs(difference) < _ROUNDING] = 0.0
    gap, error = difference[upper], np.sqrt(np.sum(parts, axis=0))
    # A pair whose few photos agree by chance would count as one that its many scenes decide: all pairs know better.
    usual = _freedom([np.mean(part) for part in parts], np.zeros(()), found) if len(gap) else 1.0
    freedom = np.minimum(_freedom(parts, fourth[upper], found), usual)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = _two_sided(freedom, np.where(gap == 0, 0.0, np.abs(gap) / error))
    p = np.where(gap == 0, 1.0, np.maximum(p, 2.0 ** max(1 - found.clusters, -1000)))
    adjusted, margin = np.ones_like(difference), np.zeros_like(difference)
    for table, values in ((adjusted, np.array(paired.holm(p.tolist()))), (margin, _quantile(freedom) * error)):
        table[upper] = values
        table.T[upper] = values
    return PairTests(difference, margin, adjusted)


def bands(tests: PairTests) -> tuple[np.ndarray, np.ndarray]:
    """Ranks [N]: best = 1 + rows significantly better, worst = N - rows significantly worse."""
    better = tests.better
    return 1 + better.sum(axis=0), len(better) - better.sum(axis=1)


def _crossed(each: np.ndarray) -> np.ndarray:
    return each[:, None] + each


def _by_source(found: Standing) -> list[np.ndarray]:
    """The clusters of each source."""
    return [np.flatnonzero(found.sources == source) for source in range(int(found.sources.max()) + 1)]


def _apart(rows: np.ndarray) -> np.ndarray:
    """Squared distances [N, N] of rows [N, C]; 0 where no more is left than rounding makes of equal rows."""
    lengths = _crossed((rows**2).sum(axis=1))
    found = lengths - 2 * rows @ rows.T
    return np.where(found < _ROUNDING * lengths, 0.0, found)


def _freedom(parts: Sequence[np.ndarray], fourth: np.ndarray, found: Standing) -> np.ndarray:
    """Degrees of freedom: C - 1 where clusters err alike, fewer where few of them make up the whole error.

    The lesser of two estimates after Satterthwaite from the variance by source, `parts`, and the sum of e^4, `fourth`:
    V^2 / sum(V_s^2 / (C_s - 1)), as five photos do not know more of their own spread for standing beside a thousand
    scenes; and 3 V^2 / sum e^4 - 2, about C for normal errors and 1 where one cluster is all there is.
    """
    sizes = np.bincount(found.sources)
    known = sum((part**2 / max(1, size - 1) for part, size in zip(parts, sizes, strict=True)), np.zeros_like(fourth))
    total = np.sum(parts, axis=0) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.minimum(total / known, 3 * total / fourth - 2)
    return np.clip(np.where(np.isfinite(least), least, 1.0), 1.0, max(1.0, found.clusters - 1.0))


def _two_sided(freedom: np.ndarray, t: np.ndarray) -> np.ndarray:
    from scipy.special import stdtr  # type: ignore[import-untyped]

    return 2 * np.asarray(stdtr(freedom, -t))


def _quantile(freedom: np.ndarray) -> np.ndarray:
    """What Student's t stays below, either side, in 95% of cases."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, 1 - LEVEL / 2))
