"""Leaves out exchanges until a text-only model is right as often as wrong: for kinds whose edits sound odd.

Swapping "a man on a horse" gives what nobody writes, and a language model knows. As many exchanges are kept in which
it is wrong as in which it is right, equally sure of itself. (SugarCrepe's adversarial refinement, with any model.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from datagen.negatives.blind import plausibility
from datagen.negatives.types import Exchange

BIN = 0.05


def margins(found: Sequence[Exchange]) -> np.ndarray:
    """float64 [N, 2]: by how much our own trigram model prefers the positive, for both sides of each exchange."""
    pairs = [(side.positive, side.negative) for exchange in found for side in exchange.sides]
    return plausibility(pairs, np.repeat(np.arange(len(found)), 2)).reshape(-1, 2)


def refine(found: Sequence[Exchange], preferred: np.ndarray) -> list[Exchange]:
    """Those kept, in order. `preferred` [N, 2] are a text-only model's margins (positive minus negative).

    Within bins of the margin's size, the exchanges in which the positive is preferred and those in which the negative
    is are made equally many, the first ones kept. Where the model is torn (margins that cancel), all are.
    """
    sums = preferred.sum(axis=1)
    bins: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    kept: list[int] = []
    for index, value in enumerate(sums):
        if abs(value) < 1e-9:
            kept.append(index)
        else:
            bins[int(abs(value) / BIN)][int(value < 0)].append(index)
    for right, wrong in bins.values():
        count = min(len(right), len(wrong))
        kept += right[:count] + wrong[:count]
    return [found[index] for index in sorted(kept)]
