"""Smaller embeddings: the first numbers alone (Matryoshka), 8-bit integers, or signs; what their scores would be.

Everything stays float32, so that one scoring ranks it all: by the cosine of the vectors as they were rounded, which
for signs orders exactly as their Hamming distance does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.vectors import ROWS, unit
from fuselip.core.errors import UsageError

KINDS = ("int8", "binary")
LEVELS = 127


@dataclass(frozen=True)
class Quantiser:
    """How vectors of `dim` numbers become what is scored; made by `fit`. `scale_D`: int8's step in each dimension."""

    dim: int
    truncate_dim: int | None = None
    kind: str | None = None
    scale_D: np.ndarray | None = None

    @classmethod
    def fit(cls, candidates_ND: np.ndarray, truncate_dim: int | None = None, kind: str | None = None) -> Quantiser:
        """Calibrated on the candidates alone, as an index is built before it is asked anything.

        int8: per dimension, symmetric about 0, so that the largest number of the candidates' unit vectors is 127.
        Raises UsageError for an unknown `kind` and for more dimensions than there are.
        """
        dim = candidates_ND.shape[1]
        if kind is not None and kind not in KINDS:
            raise UsageError(f"there is no quantisation {kind!r} (known: {', '.join(KINDS)})")
        if truncate_dim is not None and not 1 <= truncate_dim <= dim:
            raise UsageError(f"--truncate-dim is 1 to {dim} for this encoder's vectors, not {truncate_dim}")
        if kind != "int8":
            return cls(dim, truncate_dim, kind)
        shortened = cls(dim, truncate_dim)
        largest_D = np.zeros(truncate_dim or dim, np.float32)
        for start in range(0, len(candidates_ND), ROWS):
            rows = shortened(candidates_ND[start : start + ROWS])
            largest_D = np.maximum(largest_D, np.abs(rows).max(axis=0))
        return cls(dim, truncate_dim, kind, np.where(largest_D > 0, largest_D / LEVELS, np.float32(1)))

    def __call__(self, vectors_ND: np.ndarray) -> np.ndarray:
        """float32 [N, D']: unit vectors of the first D' numbers, then rounded. Queries beyond the range are clipped.

        "binary": +1 for numbers above 0 and -1 for the others, over sqrt(D'): the product of two is
        1 - 2 hamming / D', so it ranks as the Hamming distance of packed bits does.
        """
        array = np.asarray(vectors_ND)
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise ValueError(f"vectors of shape {array.shape} where [N, {self.dim}] were calibrated")
        units = unit(array[:, : self.truncate_dim])
        if self.kind == "binary":
            side = np.float32(1 / np.sqrt(units.shape[1]))
            return np.where(units > 0, side, -side)
        if self.scale_D is None:
            return units
        levels = np.clip(np.rint(units / self.scale_D), -LEVELS, LEVELS)
        return np.asarray(levels * self.scale_D, np.float32)

    @property
    def bytes_per_embedding(self) -> int:
        """Stored size of one vector: 4 bytes a number, 1, or a bit; int8's steps are shared and do not count."""
        dim = self.truncate_dim or self.dim
        return {None: 4 * dim, "int8": dim, "binary": -(-dim // 8)}[self.kind]

    def record(self) -> dict[str, Any]:
        """What is written of it with a result."""
        return {
            "dim": self.truncate_dim or self.dim,
            "of_dim": self.dim,
            "quantise": self.kind or "none",
            "bytes_per_embedding": self.bytes_per_embedding,
            "calibration": "candidates, per dimension, symmetric" if self.kind == "int8" else "none",
        }


def shrinker(truncate_dim: int | None, kind: str | None) -> Callable[[np.ndarray], Quantiser] | None:
    """`Quantiser.fit` with the options of a command line; None where nothing was asked for."""
    if truncate_dim is None and kind is None:
        return None
    return lambda candidates_ND: Quantiser.fit(candidates_ND, truncate_dim, kind)
