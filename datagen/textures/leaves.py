"""Dead leaves: shapes of all sizes that hide each other, the model of natural images by occlusion (Lee et al. 2001)."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from datagen.textures.colours import finish, palette
from datagen.textures.fields import grid, mesh, spectral
from datagen.textures.stream import Stream

CORNERS = 24
# Radii as shares of the side. Their density falls as r^-3, which makes the picture look alike at all scales.
RADII = (0.012, 0.45)
COUNT = 450


def leaves(stream: Stream, size: int) -> Image.Image:
    """Leaves of flat colour, then shaded: each has its own slope of light and its own share of a 1/f grain."""
    labels = _labels(stream, size)
    colours = palette(stream, 12)[(stream.array(COUNT + 1) * 12).astype(int)]
    colours = np.clip(colours * stream.array(COUNT + 1, 1, low=0.7, high=1.25), 0, 1)
    flat = Image.fromarray((colours * 255).astype(np.uint8)[labels]).reduce(2)  # drawn at twice the size: smooth edges
    canvas = np.asarray(flat, np.float32) / np.float32(255)
    labels = labels[::2, ::2]
    ground = mesh(stream, size, 3)
    bare = labels == 0
    canvas = np.where(bare[:, :, None], ground, canvas)
    return finish(canvas * _shade(labels, stream)[:, :, None], stream)


def _labels(stream: Stream, size: int) -> np.ndarray:
    """int32 [2 size, 2 size]: the number of the leaf that shows, 0 where none does. Later leaves lie on top."""
    side = 2 * size
    low, high = RADII[0] ** -2, RADII[1] ** -2
    radii = (low + stream.array(COUNT) * (high - low)) ** -0.5
    # The largest first half-way: a large one at the end would hide all that was drawn.
    order = np.argsort(-radii * stream.array(COUNT, low=0.3, high=1.0), kind="stable")
    shapes = _outlines(stream)
    chosen = shapes[(stream.array(COUNT) * len(shapes)).astype(int)]
    angle = stream.array(COUNT, high=2 * np.pi)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    middles = stream.array(COUNT, 2, low=-0.1, high=1.1)
    points = (np.einsum("nij,npj->npi", turn, chosen) * radii[:, None, None] + middles[:, None]) * side
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    for number, index in enumerate(order.tolist(), start=1):
        draw.polygon(points[index].ravel().tolist(), fill=number)
    return np.asarray(canvas)


def _outlines(stream: Stream) -> np.ndarray:
    """[3, CORNERS, 2]: three shapes of this picture, within the unit circle: round, cornered, pointed or wavy."""
    return np.stack([_outline(stream) for _ in range(3)])


def _outline(stream: Stream) -> np.ndarray:
    turn = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    sort = stream.choice(("ellipse", "polygon", "leaf", "wavy"))
    narrow = stream.number(0.35, 1.0)
    if sort == "leaf":
        return np.stack(
            [np.cos(turn), narrow * np.sin(turn) * np.abs(np.sin(turn)) * (1 + 0.5 * np.cos(turn)) / 1.2], -1
        )
    radius = np.ones(CORNERS)
    if sort == "polygon":
        corners = stream.choice((3, 4, 6))
        radius = np.cos(np.pi / corners) / np.cos(turn % (2 * np.pi / corners) - np.pi / corners)
    elif sort == "wavy":
        waves = stream.array(3, 2, low=-0.22, high=0.22)
        radius = 0.75 + sum(a * np.cos(n * turn) + b * np.sin(n * turn) for n, (a, b) in enumerate(waves, start=2))
    return np.stack([radius * np.cos(turn), narrow * radius * np.sin(turn)], -1)


def _shade(labels: np.ndarray, stream: Stream) -> np.ndarray:
    """[size, size], about 1: what light and grain make of the flat colour of each leaf."""
    size = labels.shape[0]
    x, y = grid(size)
    slopes = stream.array(2, COUNT + 1, low=-0.5, high=0.5)
    lift = stream.array(COUNT + 1, low=0.9, high=1.1)
    grain = stream.array(COUNT + 1, low=0.0, high=stream.number(0.05, 0.3)) * (stream.array(COUNT + 1) < 0.7)
    field = spectral(stream, size, 1, 0.9, stream.number(1.0, 2.0), stream.number(0, np.pi))[0]
    shade: np.ndarray = lift[labels] + slopes[0][labels] * x + slopes[1][labels] * y + grain[labels] * field
    return np.maximum(shade, 0.15)
