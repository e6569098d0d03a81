"""Hard negatives among real images: nearest neighbours in any encoder's space, without those that are too near.

Brute force in blocks, numpy alone: exact, and fast enough for a million vectors on a few cores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from datagen.negatives.slots import words

BLOCK = 1024
# So many neighbours are looked at for each one wanted: the filters take some away.
POOL = 4


@dataclass(frozen=True)
class Filter:
    """What is taken for a false negative: a neighbour whose vector (cosine) or caption is too like the item's own.

    `max_overlap` bounds the share of words that two captions have in common (Jaccard).
    """

    max_similarity: float = 0.95
    max_overlap: float = 0.6


USUAL = Filter()


@dataclass
class Mined:
    """For each item the neighbours kept, nearest first, as (index, cosine), and how many fell to which filter."""

    neighbours: list[list[tuple[int, float]]]
    dropped: Counter[str] = field(default_factory=Counter)


def mine(vectors: np.ndarray, k: int, exclude: Sequence[object] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each of N vectors by cosine: (int64 [N, k] indices, float32 [N, k] cosines), nearest first.

    Items of equal `exclude` labels (an image's origin) are no neighbours of each other; without it only the item
    itself is left out. Where there are fewer than k, the rest is index -1 and cosine -inf. Equal cosines are ordered by
    index. Raises ValueError for a wrong shape, k < 1, or vectors that are zero or not finite.
    """
    if vectors.ndim != 2 or k < 1:
        raise ValueError(f"vectors are [N, D] and k is 1 or more, not {vectors.shape} and {k}")
    count = len(vectors)
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        bad = int(np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))[0])
        raise ValueError(f"vector {bad} is zero or not finite; leave its item out")
    unit = vectors.astype(np.float32) / lengths
    numbers: dict[object, int] = {}
    labels = np.array([numbers.setdefault(label, len(numbers)) for label in exclude or range(count)], np.int64)
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} vectors")
    indices = np.full((count, k), -1, np.int64)
    cosines = np.full((count, k), -np.inf, np.float32)
    for start in range(0, count, BLOCK):
        scores = unit[start : start + BLOCK] @ unit.T
        scores[labels[start : start + BLOCK, None] == labels[None]] = -np.inf
        width = min(k, count)
        nearest = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        values = np.take_along_axis(scores, nearest, axis=1)
        order = np.lexsort((nearest, -values), axis=1)
        values = np.take_along_axis(values, order, axis=1)
        nearest = np.take_along_axis(nearest, order, axis=1)
        cosines[start : start + BLOCK, :width] = values
        indices[start : start + BLOCK, :width] = np.where(np.isfinite(values), nearest, -1)
    return indices, cosines


def overlap(one: str, other: str) -> float:
    """Share of the words of both texts that they have in common, 0 to 1."""
    first, second = set(words(one)), set(words(other))
    return len(first & second) / len(first | second) if first | second else 1.0


def neighbours(
    vectors: np.ndarray,
    captions: Sequence[str],
    k: int,
    exclude: Sequence[object] | None = None,
    rules: Filter = USUAL,
) -> Mined:
    """Up to k neighbours of each item that are hard but not false: unlike it, and unlike each other, by `rules`.

    Drops are counted as "too_similar" (vectors), "same_caption" (overlap), and "like_another" (of the kept ones).
    Raises ValueError as `mine` does.
    """
    indices, cosines = mine(vectors, min(k * POOL, max(len(vectors) - 1, 1)), exclude)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    mined = Mined([])
    for item, (near, values) in enumerate(zip(indices, cosines, strict=True)):
        kept: list[tuple[int, float]] = []
        for other, cosine in zip(near.tolist(), values.tolist(), strict=True):
            if other < 0 or len(kept) == k:
                break
            reason = _false(cosine, captions[item], captions[other], rules)
            if not reason and any(
                _false(float(unit[other] @ unit[each]), captions[other], captions[each], rules) for each, _ in kept
            ):
                reason = "like_another"
            if reason:
                mined.dropped[reason] += 1
            else:
                kept.append((other, cosine))
        mined.neighbours.append(kept)
    return mined


def _false(cosine: float, one: str, other: str, rules: Filter) -> str:
    if cosine > rules.max_similarity:
        return "too_similar"
    return "same_caption" if overlap(one, other) > rules.max_overlap else ""
