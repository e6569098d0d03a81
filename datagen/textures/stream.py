"""Random numbers that stay the same for ever: built on a bit generator's raw output, which numpy never changes.

The methods of numpy.random.Generator may change their streams between releases (NEP 19); frozen textures cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from fuselip.core import seeds

T = TypeVar("T")


class Stream:
    """Draws that follow from the parts (see `seeds.derive`) and from nothing else."""

    def __init__(self, *parts: str | int) -> None:
        self._bits = np.random.PCG64(seeds.derive(*parts))

    def array(self, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """float32 [*shape], uniform between `low` and `high`."""
        raw = self._bits.random_raw(int(np.prod(shape))) >> 40
        return (low + (high - low) * 2.0**-24 * raw).astype(np.float32).reshape(shape)

    def normal(self, *shape: int) -> np.ndarray:
        """float32 [*shape], of mean 0 and variance 1 (Box and Muller's transform, both of its values used)."""
        count = int(np.prod(shape))
        half = (count + 1) // 2
        radius = np.sqrt(-2 * np.log(self.array(half, low=1.0, high=2.0**-24)))
        angle = self.array(half, high=2 * np.pi)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].reshape(shape)

    def number(self, low: float, high: float) -> float:
        """Uniform between `low` and `high`."""
        return low + (high - low) * float(self._bits.random_raw() >> 11) * 2.0**-53

    def below(self, count: int) -> int:
        """Uniform in 0 .. count - 1."""
        return int(self.number(0, count))

    def between(self, low: int, high: int) -> int:
        """Uniform in low .. high, both included."""
        return low + self.below(high - low + 1)

    def choice(self, values: Sequence[T]) -> T:
        return values[self.below(len(values))]

    def chance(self, share: float) -> bool:
        return self.number(0, 1) < share
