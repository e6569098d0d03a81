"""Stamps: a thing's shape, texture and edge as antialiased coverage, made once for each size and kept.

A stamp sits on whole pixels, so that one serves every position; drawing a thing is then three array operations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from datagen.scenes.outlines import OUTLINES, ink
from datagen.scenes.types import Thing
from datagen.scenes.vocabulary import HALF_SIZES

SAMPLES = 4  # per pixel and axis: coverage in sixteenths, which float32 holds exactly


@dataclass(frozen=True)
class Stamp:
    """`weights` float32 [h * w, 3]: the shares of fill, ink and edge; `rest` float32 [h, w, 1]: what shines through.

    `left`, `top`: where the stamp begins, in pixels from the centre. `solid` bool [h, w]: at least half covered.
    """

    left: int
    top: int
    weights: np.ndarray
    rest: np.ndarray
    solid: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.solid.shape[0], self.solid.shape[1]


def stamp(thing: Thing, pixels: int) -> Stamp:
    """The stamp of a thing in a picture of `pixels` a side."""
    return _stamp(thing.shape, thing.texture, thing.size, thing.rotation, pixels)


def place(thing: Thing, pixels: int) -> tuple[Stamp, int, int]:
    """The stamp and the pixel (left, top) where it goes; parts of it may lie outside the picture."""
    made = stamp(thing, pixels)
    return made, thing.x * pixels // 1000 + made.left, thing.y * pixels // 1000 + made.top


@lru_cache(maxsize=4096)
def _stamp(shape: str, texture: str, size: str, rotation: int, pixels: int) -> Stamp:
    half = max(HALF_SIZES[size] * pixels / 1000, 1.0)
    reach = math.ceil(half * 1.15)
    side = 2 * reach + 1
    steps = (np.arange(side * SAMPLES) + 0.5) / (SAMPLES * half) - side / (2 * half)
    across, down = steps[None, :], steps[:, None]
    # Six digits: sines differ between machines only far behind them.
    cos, sin = round(math.cos(math.radians(rotation)), 6), round(math.sin(math.radians(rotation)), 6)
    x, y = across * cos + down * sin, down * cos - across * sin
    inside = OUTLINES[shape](x, y)
    core = _erode(inside, max(0.07 * half, 0.7) * SAMPLES)
    second = core & ink(texture, x, y)
    parts = np.stack([_count(part) for part in (core & ~second, second, inside & ~core)], axis=-1)
    covered = parts.sum(axis=-1)
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if not len(rows):  # a picture of a few pixels may miss a thin shape altogether
        rows = columns = np.array([reach])
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    total = SAMPLES * SAMPLES
    weights = (parts[window] / total).astype(np.float32).reshape(-1, 3)
    rest = (1 - covered[window] / total).astype(np.float32)[..., None]
    solid = covered[window] * 2 >= total
    return Stamp(int(columns[0]) - reach, int(rows[0]) - reach, weights, rest, solid)


def _count(mask: np.ndarray) -> np.ndarray:
    """Of the samples of each pixel, how many are set."""
    side = mask.shape[0] // SAMPLES
    counts: np.ndarray = mask.reshape(side, SAMPLES, side, SAMPLES).sum(axis=(1, 3))
    return counts


def _erode(inside: np.ndarray, radius: float) -> np.ndarray:
    """The points further than about `radius` samples from the outside: inside at 16 points of a circle around them."""
    core = inside.copy()
    margin = math.ceil(radius) + 1
    padded = np.pad(inside, margin)
    size = inside.shape[0]
    for turn in range(16):
        angle = math.pi * turn / 8
        row = margin + round(round(radius * math.sin(angle), 6))
        column = margin + round(round(radius * math.cos(angle), 6))
        core &= padded[row : row + size, column : column + size]
    return core
