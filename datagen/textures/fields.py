"""Random fields: the raw matter of textures. Spectral ones fall off as natural images do, smooth ones are blown up."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from datagen.textures.colours import palette
from datagen.textures.stream import Stream


def spectral(
    stream: Stream, size: int, count: int, slope: float, stretch: float = 1.0, angle: float = 0.0
) -> np.ndarray:
    """float32 [count, size, size] of mean 0 and deviation 1, whose amplitude falls as frequency to the power -`slope`.

    Natural images have slopes near 1 (Field 1987). `stretch` lengthens the grain along `angle` (radians).
    """
    across, down = _frequencies(size)
    along = across * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))
    aside = down * np.float32(np.cos(angle)) - across * np.float32(np.sin(angle))
    squared = (along * np.float32(stretch)) ** 2 + (aside / np.float32(stretch)) ** 2
    squared[0, 0] = 1
    amplitude = squared ** np.float32(-slope / 2)
    amplitude[0, 0] = 0
    grain = stream.normal(2, count, size, size // 2 + 1)
    fields = np.fft.irfft2((grain[0] + 1j * grain[1]) * amplitude, s=(size, size)).astype(np.float32)
    return fields / fields.std(axis=(1, 2), keepdims=True)


@lru_cache(maxsize=4)
def _frequencies(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cycles per picture across [size // 2 + 1] and down [size, 1]."""
    return np.fft.rfftfreq(size, 1 / size).astype(np.float32), np.fft.fftfreq(size, 1 / size).astype(np.float32)[
        :, None
    ]


def smooth(stream: Stream, size: int, cells: int) -> np.ndarray:
    """float32 [size, size], about 0 to 1: random values on a grid of `cells` x `cells`, blown up (bicubic)."""
    return np.asarray(Image.fromarray(stream.array(cells, cells)).resize((size, size), Image.Resampling.BICUBIC))


def mesh(stream: Stream, size: int, cells: int, colours: np.ndarray | None = None) -> np.ndarray:
    """float32 [size, size, 3], about 0 to 1: random colours of a palette on a grid, blown up (bicubic)."""
    known = palette(stream, 6) if colours is None else colours
    picked = known[(stream.array(cells, cells) * len(known)).astype(int)]
    small = Image.fromarray((picked * 255).astype(np.uint8))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC), np.float32) / np.float32(255)


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(x [1, size], y [size, 1]), float32 from -1 to 1."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return line[None, :], line[:, None]
