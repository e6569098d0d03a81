"""Gradients: colours that melt into each other, waves and rings bent by a smooth field, and steps with sharp edges."""

from __future__ import annotations

import numpy as np
from PIL import Image

from datagen.textures.colours import finish, palette, ramp
from datagen.textures.fields import grid, mesh, smooth
from datagen.textures.stream import Stream


def gradients(stream: Stream, size: int) -> Image.Image:
    """A mesh of colours with one to three layers of bands over it, each showing through a mask of its own."""
    canvas = mesh(stream, size, stream.between(2, 5))
    for _ in range(stream.between(1, 3)):
        layer = ramp(palette(stream, stream.between(2, 6)), _bands(stream, size))
        sharpness = stream.choice((2, 4, 40))
        mask = np.clip((smooth(stream, size, stream.between(3, 8)) - 0.5) * sharpness + 0.5, 0, 1)[:, :, None]
        canvas += (layer - canvas) * mask
    return finish(canvas, stream)


def _bands(stream: Stream, size: int) -> np.ndarray:
    """[size, size] from 0 to 1: a ramp, waves or rings along a bent direction; sometimes in steps."""
    x, y = grid(size)
    angle = stream.number(0, 2 * np.pi)
    if stream.chance(0.35):
        across, down = stream.array(2, low=-1.2, high=1.2)
        phase = np.sqrt((x - across) ** 2 + (y - down) ** 2 * np.float32(stream.number(0.5, 2)))
    else:
        phase = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    bend = np.float32(stream.number(0.2, 1.2))
    phase = phase + bend * (smooth(stream, size, stream.between(3, 6)) - 0.5)
    phase = phase + np.float32(0.1) * bend * (smooth(stream, size, stream.between(12, 24)) - 0.5)
    turns = np.float32(2 ** stream.number(-1.0, 3.0))
    form = stream.choice(("wave", "saw", "steps"))
    if form == "wave":
        return 0.5 + 0.5 * np.sin(np.float32(np.pi) * turns * phase)
    saw = (turns * phase / 2) % 1
    if form == "saw":
        return saw
    steps = stream.between(3, 7)
    return np.floor(saw * steps) / (steps - 1)
