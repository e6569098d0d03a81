"""The fields behind the things: gradients, value noise and faint patterns, as values in [0, 1]."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLES = 4
# Directions of the gradients: (across, down) weights, which add up to at most 1 in absolute value.
_SLOPES = ((1, 0), (0, 1), (-1, 0), (0, -1), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))
_NOISE_CELLS = ((3, 0.5), (7, 0.3), (17, 0.2))  # cells a side, and the weight, of each octave
_PATTERN_STRENGTH = 0.55  # of the way to the other tone: patterns stay behind the things


@lru_cache(maxsize=256)
def field(kind: str, variant: int, size: int) -> np.ndarray:
    """float32 [size, size, 1] for "gradient" (variant 0 to 7), "noise" (its seed) or "pattern" (0 to 5)."""
    if kind == "gradient":
        values = _gradient(variant, size)
    elif kind == "noise":
        values = _noise(variant, size)
    else:
        values = _pattern(variant, size) * _PATTERN_STRENGTH
    return values.astype(np.float32)[..., None]


def _centres(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def _gradient(variant: int, size: int) -> np.ndarray:
    across, down = _SLOPES[variant]
    x, y = _centres(size)[None, :], _centres(size)[:, None]
    return (x if across >= 0 else 1 - x) * abs(across) + (y if down >= 0 else 1 - y) * abs(down)


def _noise(seed: int, size: int) -> np.ndarray:
    """Random values on three grids, joined by straight lines. Raw bits only: they never change between releases."""
    bits = np.random.PCG64(seed)
    total = np.zeros((size, size))
    for cells, weight in _NOISE_CELLS:
        grid = (bits.random_raw((cells + 1) ** 2) >> np.uint64(56)).reshape(cells + 1, cells + 1) / 255
        position = _centres(size) * cells
        low = np.floor(position).astype(int)
        part = position - low
        rows = grid[low] * (1 - part)[:, None] + grid[low + 1] * part[:, None]
        total += weight * (rows[:, low] * (1 - part) + rows[:, low + 1] * part)
    return total


def _pattern(variant: int, size: int) -> np.ndarray:
    x, y = _centres(size * SAMPLES)[None, :], _centres(size * SAMPLES)[:, None]
    a, b = x * 8 - np.floor(x * 8), y * 8 - np.floor(y * 8)
    diagonal = (x + y) * 7 - np.floor((x + y) * 7)
    dots = (a - 0.5) * (a - 0.5) + (b - 0.5) * (b - 0.5) < 0.09
    masks = (a + 0 * b < 0.5, b + 0 * a < 0.5, diagonal < 0.5, (a < 0.5) ^ (b < 0.5), dots, (a < 0.16) | (b < 0.16))
    mean: np.ndarray = masks[variant].reshape(size, SAMPLES, size, SAMPLES).mean(axis=(1, 3))
    return mean
