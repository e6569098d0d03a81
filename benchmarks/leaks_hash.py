"""Perceptual hashes, and an index that finds near ones without comparing all with all.

A picture's hash is 64 signs of its coarsest cosine coefficients (pHash); a second one, of 64 brightness steps (dHash),
has a say too. Both are the picture's own after JPEG and resizing. Trimmed or mirrored copies are found because the
benchmark's pictures are entered trimmed and mirrored as well.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from PIL import Image, ImageOps

SIDE = 32
# Standard deviation of gray levels (0..255) below which a picture is too plain for its hash to mean anything.
MIN_CONTRAST = 4.0
MAX_DISTANCE = 11
# dHash only guards against chance, so it is generous; clipped highlights cost it some bits.
MAX_STEPS = 20
# Share of the sides cut off all round in the views of a benchmark picture.
MARGINS = (0.0, 0.04, 0.08)

_WAVES = np.cos(np.pi * np.arange(9)[:, None] * (2 * np.arange(SIDE)[None] + 1) / (2 * SIDE))
_POPCOUNT = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)
_POWERS = np.uint64(1) << np.arange(64, dtype=np.uint64)
_BANDS = 4


def hashes(image: Image.Image) -> tuple[int, int] | None:
    """(pHash, dHash) of an image, 64 bits each; None where it is too plain."""
    gray = image.convert("L")
    pixels = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
    if pixels.std() < MIN_CONTRAST:
        return None
    waves = _WAVES @ pixels @ _WAVES.T
    low = np.append(waves[:8, :8].ravel()[1:], waves[8, 0])  # without the mean, and so one more to fill 64 bits
    steps = np.asarray(gray.resize((9, 8), Image.Resampling.BICUBIC), np.int16)
    return _pack(low > np.median(low)), _pack((steps[:, 1:] > steps[:, :-1]).ravel())


def views(image: Image.Image) -> list[Image.Image]:
    """The image whole and trimmed, each also mirrored."""
    found = []
    for margin in MARGINS:
        dx, dy = round(image.width * margin), round(image.height * margin)
        trimmed = image.crop((dx, dy, image.width - dx, image.height - dy))
        found += [trimmed, ImageOps.mirror(trimmed)]
    return found


def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """int64 [n]: how many bits differ. `first`, `second`: uint64 [n]."""
    different = np.ascontiguousarray(first ^ second).view(np.uint16).reshape(-1, _BANDS)
    return _POPCOUNT[different].sum(axis=1, dtype=np.int64)


class HashIndex:
    """Finds all entries within `limit` bits (0 to 11), by the pigeonhole: of four quarters of 16 bits one is nearly
    equal, differing in at most limit // 4 bits. Memory: 60 bytes an entry and 2 MB."""

    def __init__(self, entries: np.ndarray, limit: int) -> None:
        """`entries`: uint64 [n]."""
        assert 0 <= limit <= MAX_DISTANCE
        self._entries, self._limit = entries, limit
        flips = [
            sum(1 << bit for bit in bits) for r in range(limit // _BANDS + 1) for bits in combinations(range(16), r)
        ]
        self._flips = np.array(flips, np.int64)
        self._bands = []
        for band in range(_BANDS):
            keys = _band(entries, band)
            order = np.argsort(keys, kind="stable")
            self._bands.append((order, np.searchsorted(keys[order], np.arange((1 << 16) + 1))))

    def near(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """int64 [k] each: place in `wanted` (uint64 [m]), place among the entries, and distance, each pair once."""
        found = [np.empty(0, np.int64)]
        for band, (order, starts) in enumerate(self._bands):
            probes = _band(wanted, band)[:, None] ^ self._flips[None]
            first = starts[probes].ravel()
            counts = starts[probes + 1].ravel() - first
            hit = np.flatnonzero(counts)
            first, counts = first[hit], counts[hit]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            left, right = np.repeat(hit // len(self._flips), counts), order[np.repeat(first, counts) + within]
            near = distance(wanted[left], self._entries[right]) <= self._limit
            found.append(left[near] * len(self._entries) + right[near])
        left, right = np.divmod(np.unique(np.concatenate(found)), max(len(self._entries), 1))
        return left, right, distance(wanted[left], self._entries[right])


def _band(values: np.ndarray, band: int) -> np.ndarray:
    return ((values >> np.uint64(16 * band)) & np.uint64(0xFFFF)).astype(np.int64)


def _pack(bits: np.ndarray) -> int:
    return int((_POWERS * bits).sum(dtype=np.uint64))
