"""Random choices that stay the same for ever: built on a bit generator's raw output, which NumPy never changes.

The methods of numpy.random.Generator may change their streams between releases (NEP 19); frozen scenes cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draws:
    """Choices from a seed of 0 to 2**63 - 1."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)
        self._buffer: list[int] = []

    def below(self, n: int) -> int:
        """Uniform in 0 .. n - 1, n at most 2**32."""
        if not self._buffer:
            self._buffer = self._bits.random_raw(64).tolist()
        return (self._buffer.pop() >> 32) * n >> 32

    def between(self, low: int, high: int) -> int:
        """Uniform in low .. high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def choice(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A new list (Fisher-Yates)."""
        out = list(items)
        for last in range(len(out) - 1, 0, -1):
            other = self.below(last + 1)
            out[last], out[other] = out[other], out[last]
        return out
