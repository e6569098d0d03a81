"""Noise with the spectrum of natural images, in correlated colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from datagen.textures.colours import LUMA, finish, palette
from datagen.textures.fields import spectral
from datagen.textures.stream import Stream

SLOPES = (0.9, 1.2)


def noise(stream: Stream, size: int) -> Image.Image:
    """Three fields of amplitude 1/f: a strong one for lightness, two weaker ones for colour, as in photos.

    Half of the pictures also have contrast that comes and goes, whose heavy tails photos share.
    """
    slope = stream.number(*SLOPES)
    stretch, angle = stream.number(1.0, 1.7), stream.number(0, np.pi)
    fields = spectral(stream, size, 3, slope, stretch, angle)
    if stream.chance(0.5):
        envelope = spectral(stream, size, 1, 1.5)[0]
        fields *= np.exp(np.float32(0.4) * envelope)
    return finish(np.tensordot(fields, _axes(stream), (0, 0)) + palette(stream, 1)[0] * 0.4 + 0.3, stream)


def _axes(stream: Stream) -> np.ndarray:
    """[3, 3]: the colour that each field adds: nearly gray, and two tints of no lightness of their own."""
    gray = stream.array(3, low=0.8, high=1.2) * np.float32(stream.number(0.16, 0.24))
    tints = stream.normal(2, 3)
    tints -= (tints @ LUMA)[:, None]
    tints /= np.linalg.norm(tints, axis=1, keepdims=True)
    return np.stack([gray, *(tints * stream.array(2, 1, low=0.12, high=0.3))])
