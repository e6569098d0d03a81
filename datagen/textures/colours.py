"""The colours of a texture: palettes of related hues, ramps through them, and the last touch that every picture gets.

All colours are float32 red, green and blue in 0 to 1.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from datagen.textures.stream import Stream

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Floors that keep edits visible: the deviation of the luma (flips, rotations, crops) and the mean absolute difference
# of the channels from it (colourise), as shares of the full range. Photos have about 0.2 and 0.06.
MIN_CONTRAST = 0.15
MIN_COLOUR = 0.06


def palette(stream: Stream, count: int) -> np.ndarray:
    """[count, 3]: hues near one to three that were drawn, lightness spread from dark to light, in random order."""
    bases = stream.array(stream.between(1, 3))
    hues = bases[np.arange(count) % len(bases)] + stream.array(count, low=-0.09, high=0.09)
    values = (np.arange(count) + stream.array(count)) / count
    values = values[np.argsort(stream.array(count), kind="stable")]
    return from_hsv(hues, stream.array(count, low=0.3, high=1.0), 0.12 + 0.88 * values)


def from_hsv(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """[N, 3] of three arrays [N]; hue 0 is red, 1/3 green, 2/3 blue, and 1 red again."""
    sector = (np.array([5, 3, 1]) + 6 * hue[:, None]) % 6
    dip = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return (value[:, None] * (1 - saturation[:, None] * dip)).astype(np.float32)


def ramp(colours: np.ndarray, where: np.ndarray) -> np.ndarray:
    """[*where, 3]: the palette [N, 3] read at `where` (0 to 1; 0 is its first colour), with linear steps between."""
    steps = np.linspace(0, len(colours) - 1, 1024)
    table = np.stack([np.interp(steps, np.arange(len(colours)), channel) for channel in colours.T], -1)
    return table.astype(np.float32)[np.clip(where * 1023.5, 0, 1023).astype(np.int16)]


def finish(canvas: np.ndarray, stream: Stream) -> Image.Image:
    """RGB of `canvas` [H, W, 3]: lit from one side, as few scenes are not, with contrast and colour above the floors.

    The light makes the picture differ from its mirror images whatever the pattern is.
    """
    canvas = canvas * light(canvas.shape[0], stream)[:, :, None]
    luma = canvas @ LUMA
    colour = canvas - luma[:, :, None]
    middle, contrast = float(luma.mean()), float(luma.std())
    luma = (luma - middle) * max(1.0, MIN_CONTRAST / max(contrast, 1e-4)) + float(np.clip(middle, 0.3, 0.65))
    strength = float(np.abs(colour).mean())
    colour *= min(max(1.0, MIN_COLOUR / max(strength, 1e-4)), 4.0)
    return Image.fromarray((np.clip(luma[:, :, None] + colour, 0, 1) * 255 + 0.5).astype(np.uint8))


def light(size: int, stream: Stream) -> np.ndarray:
    """[size, size], 1 in the middle, rising steadily in a direction that leans away from the axes and diagonals."""
    angle = (stream.below(8) + stream.number(0.3, 0.7)) * np.pi / 4
    across = np.linspace(-1, 1, size, dtype=np.float32)
    strength = stream.number(0.2, 0.45)
    return 1 + np.float32(strength * np.cos(angle)) * across + np.float32(strength * np.sin(angle)) * across[:, None]
