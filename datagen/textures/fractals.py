"""Fractals: attractors of random affine maps over a coloured ground, and Julia sets seen from close by."""

from __future__ import annotations

import numpy as np
from PIL import Image

from datagen.textures.colours import finish, palette, ramp
from datagen.textures.fields import grid, mesh
from datagen.textures.stream import Stream

POINTS = 60_000
ITERATIONS = 40


def fractals(stream: Stream, size: int) -> Image.Image:
    """One of the two sorts, drawn evenly."""
    return finish(_attractors(stream, size) if stream.chance(0.5) else _julia(stream, size), stream)


def _attractors(stream: Stream, size: int) -> np.ndarray:
    """Two or three attractors, each in several places and sizes, behind and before each other."""
    canvas = mesh(stream, size, stream.between(2, 4))
    for _ in range(stream.between(2, 3)):
        points, shades = _attractor(stream)
        colours = ramp(palette(stream, stream.between(2, 4)), shades)
        for _ in range(stream.between(1, 2)):
            _place(canvas, points, colours, stream)
    return canvas


def _attractor(stream: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Points [2, N] of deviation 1 about the origin, and how early each went through which map, [N] in 0 to 1.

    Maps shrink with singular values below 1, as in formula-driven sets (Kataoka et al. 2020). All words of one length
    are expanded, instead of a random walk: the same points each time, and no loop over steps.
    """
    count = stream.between(2, 5)
    maps = [_map(stream, count) for _ in range(count)]
    shifts = stream.array(count, 2, 1, low=-1.0, high=1.0)
    points, shades = np.zeros((2, 1), np.float32), np.full(1, 0.5, np.float32)
    while points.shape[1] * count <= POINTS * 2 and points.shape[1] < POINTS:
        points = np.concatenate([matrix @ points + shift for matrix, shift in zip(maps, shifts, strict=True)], 1)
        shades = np.concatenate([(shades + place / (count - 1)) / 2 for place in range(count)]).astype(np.float32)
    points = points - points.mean(1, keepdims=True)
    return points / max(float(points.std()), 1e-3), shades


def _map(stream: Stream, count: int) -> np.ndarray:
    """[2, 2]: turn, shrink along both axes (less where there are few maps, to fill the plane), turn again."""
    fill = count**-0.5
    longer = min(stream.number(1.0, 1.35) * fill, 0.92)
    shorter = stream.number(0.55, 1.0) * fill
    one, two = stream.number(0, 2 * np.pi), stream.number(0, 2 * np.pi)
    scale = np.diag([longer, -shorter if stream.chance(0.3) else shorter])
    return (_turn(one) @ scale @ _turn(two)).astype(np.float32)


def _turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _place(canvas: np.ndarray, points: np.ndarray, colours: np.ndarray, stream: Stream) -> None:
    """Paints the points [2, N] of colours [N, 3] onto the canvas, turned, somewhere; the denser, the more cover."""
    size = canvas.shape[0]
    scale = size * stream.number(0.12, 0.3)
    where = (_turn(stream.number(0, 2 * np.pi)) * scale).astype(np.float32) @ points
    columns, rows = np.floor(where + stream.array(2, 1, low=0.15, high=0.85) * size).astype(np.int32)
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    cells = (rows * size + columns)[inside]
    hits = np.bincount(cells, minlength=size * size).astype(np.float32)
    tints = [np.bincount(cells, channel, size * size) for channel in colours[inside].T]
    paint = (np.stack(tints, -1) / np.maximum(hits, 1)[:, None]).reshape(canvas.shape).astype(np.float32)
    cover = (1 - np.exp(-hits * np.float32(size / 64))).reshape(size, size, 1)
    canvas += (paint - canvas) * cover


def _julia(stream: Stream, size: int) -> np.ndarray:
    """Coloured by how long and how near points stay, z -> z^2 + c; c lies by the edge of the Mandelbrot set."""
    theta = stream.number(0, 2 * np.pi)
    edge = (np.exp(1j * theta) / 2 - np.exp(2j * theta) / 4) * stream.number(1.0, 1.06)
    c_x, c_y = np.float32(edge.real), np.float32(edge.imag)
    middle = stream.number(0.3, 0.9) * np.exp(1j * stream.number(0, 2 * np.pi))
    window = 2 ** stream.number(-1.6, 0.2) * np.exp(1j * stream.number(0, 2 * np.pi))
    across, down = grid(size)
    x = across * np.float32(window.real) - down * np.float32(window.imag) + np.float32(middle.real)
    y = across * np.float32(window.imag) + down * np.float32(window.real) + np.float32(middle.imag)
    trap_x, trap_y = stream.array(2, low=-0.7, high=0.7)
    stay, near = np.zeros_like(x), np.full_like(x, 4)
    for _ in range(ITERATIONS):
        x, y = x * x - y * y + c_x, 2 * x * y + c_y
        np.clip(x, -1e3, 1e3, out=x)
        np.clip(y, -1e3, 1e3, out=y)
        stay += 1 / (1 + x * x + y * y)
        np.minimum(near, np.abs(x - trap_x) * np.abs(y - trap_y), out=near)
    turns = stream.between(1, 3)
    outer = ramp(palette(stream, stream.between(4, 7)), 0.5 - 0.5 * np.cos(np.pi * turns * _ranks(stay)))
    inner = ramp(palette(stream, stream.between(2, 4)), _ranks(near))
    return outer + (inner - outer) * np.float32(stream.number(0.2, 0.6))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Which share of the picture lies below each value: spreads colours evenly, whatever the values are."""
    levels = np.sort(values.ravel()[::17])
    return np.interp(values, levels, np.linspace(0, 1, len(levels))).astype(np.float32)
