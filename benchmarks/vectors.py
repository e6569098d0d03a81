"""Vectors of an encoder: checked, brought to unit length, pooled. Whatever passes over them does so in small blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fuselip.core.errors import UserError

TIE = 1e-6
"""Scores of unit vectors this close are tied: float32 products of one vector differ by less between machines."""

ROWS = 4096
"""Rows checked or normalised at a time, so that temporary arrays stay small beside the vectors."""


def check_vectors(vectors: Any, keys: Sequence[str], encoder: str) -> np.ndarray:
    """What an encoder returned for the inputs named by `keys`, as float32 [N, D].

    Raises UserError, naming the encoder and the input at fault, for NaN or infinity, and for what is no real [N, D].
    """
    with np.errstate(over="ignore"):  # `checked` has refused what would overflow
        return np.asarray(checked(vectors, keys, encoder)).astype(np.float32, copy=False)


def checked(vectors: Any, keys: Sequence[str], encoder: str) -> Any:
    """`vectors` as they are, after the checks of `check_vectors`: [N, D] of any real kind, where need be on disk."""
    array = vectors if isinstance(getattr(vectors, "dtype", None), np.dtype) else np.asarray(vectors)
    if len(array.shape) != 2 or array.shape[0] != len(keys) or (len(keys) and array.shape[1] == 0):
        raise UserError(
            f"{encoder} returned an array of shape {array.shape} for {len(keys)} inputs; "
            f"encode() must return one row per input, [{len(keys)}, D]"
        )
    if array.dtype.kind not in "fiu":
        raise UserError(f"{encoder} returned {array.dtype} values; encode() must return real numbers (float32)")
    for start in range(0, len(keys), ROWS):
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity and is named below
            rows = np.asarray(array[start : start + ROWS]).astype(np.float32, copy=False)
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            raise UserError(
                f"{encoder} returned NaN or infinity for input {keys[start + int(bad.argmax())]!r}; "
                "every number of a vector must be finite (overflow in half precision is the usual cause)"
            )
    return array


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32 copy of [N, D] with rows of length 1. A zero row has no direction and stays zero: it scores 0."""
    out = np.array(vectors, dtype=np.float32)
    for start in range(0, len(out), ROWS):
        rows = out[start : start + ROWS]
        rows /= _or_one(np.abs(rows).max(axis=1))  # so that squares neither overflow nor vanish
        rows /= _or_one(np.linalg.norm(rows, axis=1))
    return out


def _or_one(lengths_N: np.ndarray) -> np.ndarray:
    return np.where(lengths_N > 0, lengths_N, 1)[:, None]


def pool_vectors(groups: Sequence[np.ndarray]) -> np.ndarray:
    """One vector per candidate, float32 [G, D], from the vectors [inputs, D] of each: normalise, mean, normalise.

    Rows that cancel leave no direction: a zero vector (see `unit`). A candidate without inputs is a ValueError.
    """
    if not groups:
        return np.zeros((0, 0), np.float32)
    if any(len(rows) == 0 for rows in groups):
        raise ValueError("a candidate without inputs has no vector")
    pooled = np.empty((len(groups), groups[0].shape[1]), np.float32)
    for row, vectors in enumerate(groups):
        # One input needs no mean, and is normalised with all the others below.
        pooled[row] = vectors[0] if len(vectors) == 1 else _mean(unit(vectors))
    return unit(pooled)


def _mean(units: np.ndarray) -> np.ndarray:
    mean = units.mean(axis=0)
    return mean if np.linalg.norm(mean) > TIE else np.zeros_like(mean)  # what rounding leaves of opposite rows


def collapsed(vectors: np.ndarray) -> bool:
    """Whether several vectors [N, D] all point the same way, so that no two scores could differ by more than a tie."""
    if len(vectors) < 2:
        return False
    first = unit(vectors[:1])
    starts = range(0, len(vectors), ROWS)
    return all(bool((np.linalg.norm(unit(vectors[s : s + ROWS]) - first, axis=1) <= TIE).all()) for s in starts)
