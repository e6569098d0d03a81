"""The outlines of the shapes: for each, which points of its own frame (x right, y down, within about 1) lie inside.

Only additions, multiplications and comparisons, which round alike on every machine: pixels are part of the version.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Points = np.ndarray  # float64 [n, n]
Inside = Callable[[Points, Points], np.ndarray]


def _polygon(*corners: tuple[float, float]) -> Inside:
    """Even-odd rule."""

    def inside(x: Points, y: Points) -> np.ndarray:
        odd = np.zeros(np.broadcast(x, y).shape, bool)
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            if y0 != y1:
                odd ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
        return odd

    return inside


def _disc(radius: float, cx: float = 0.0, cy: float = 0.0) -> Inside:
    return lambda x, y: (x - cx) * (x - cx) + (y - cy) * (y - cy) <= radius * radius


def _union(*parts: Inside) -> Inside:
    return lambda x, y: np.logical_or.reduce([part(x, y) for part in parts])


def _without(whole: Inside, hole: Inside) -> Inside:
    return lambda x, y: whole(x, y) & ~hole(x, y)


def _rectangle(left: float, top: float, right: float, bottom: float) -> Inside:
    return lambda x, y: (left <= x) & (x <= right) & (top <= y) & (y <= bottom)


def _heart(x: Points, y: Points) -> np.ndarray:
    """(a^2 + b^2 - 1)^3 <= a^2 b^3, the classic heart curve, scaled to fit."""
    a, b = x * 1.2, 0.12 - y * 1.2
    ring = a * a + b * b - 1
    return ring * ring * ring <= a * a * b * b * b


# A star of radii 1 and 0.42, a hexagon of radius 1: written out, because sines differ in their last digit by machine.
_STAR = (
    (0.0, -1.0),
    (0.24687, -0.339787),
    (0.951057, -0.309017),
    (0.399444, 0.129787),
    (0.587785, 0.809017),
    (0.0, 0.42),
    (-0.587785, 0.809017),
    (-0.399444, 0.129787),
    (-0.951057, -0.309017),
    (-0.24687, -0.339787),
)
_HEXAGON = ((1.0, 0.0), (0.5, 0.866025), (-0.5, 0.866025), (-1.0, 0.0), (-0.5, -0.866025), (0.5, -0.866025))

OUTLINES: dict[str, Inside] = {
    "circle": _disc(0.94),
    "square": _rectangle(-0.8, -0.8, 0.8, 0.8),
    "triangle": _polygon((0, -0.98), (0.96, 0.72), (-0.96, 0.72)),
    "star": _polygon(*_STAR),
    "heart": _heart,
    "cross": _union(_rectangle(-0.33, -0.95, 0.33, 0.95), _rectangle(-0.95, -0.33, 0.95, 0.33)),
    "hexagon": _polygon(*_HEXAGON),
    "crescent": _without(_disc(0.96), _disc(0.76, 0.48, -0.08)),
    "ring": _without(_disc(0.96), _disc(0.48)),
    "arrow": _polygon((-0.96, -0.3), (0.08, -0.3), (0.08, -0.8), (0.98, 0), (0.08, 0.8), (0.08, 0.3), (-0.96, 0.3)),
    "diamond": _polygon((0, -1), (0.64, 0), (0, 1), (-0.64, 0)),
    "semicircle": lambda x, y: _disc(0.98, 0, 0.46)(x, y) & (y <= 0.46),
    "teardrop": _union(_disc(0.62, 0, 0.36), _polygon((0, -1), (0.552, 0.078), (-0.552, 0.078))),
    "lightning bolt": _polygon(
        (0.1, -1), (-0.62, 0.16), (-0.1, 0.16), (-0.34, 1), (0.62, -0.3), (0.1, -0.3), (0.5, -1)
    ),
    "house": _union(
        _polygon((0, -0.96), (0.94, -0.12), (0.66, -0.12), (0.66, 0.82), (-0.66, 0.82), (-0.66, -0.12), (-0.94, -0.12)),
        _rectangle(0.36, -0.92, 0.62, -0.3),
    ),
    "flag": _union(
        _rectangle(-0.8, -0.95, -0.56, 0.98),
        _polygon((-0.6, -0.95), (0.92, -0.95), (0.56, -0.42), (0.92, 0.12), (-0.6, 0.12)),
    ),
}


def ink(texture: str, x: Points, y: Points) -> np.ndarray:
    """Which points of a textured thing's frame take its second colour."""
    if texture == "striped":
        return _phase((x + y) * 1.55) < 0.42
    if texture == "dotted":
        a, b = _phase(x * 1.75) - 0.5, _phase(y * 1.75) - 0.5
        return a * a + b * b < 0.33 * 0.33
    if texture == "checkered":
        return (_phase(x * 1.4) < 0.5) ^ (_phase(y * 1.4) < 0.5)
    return np.zeros(np.broadcast(x, y).shape, bool)


def _phase(value: Points) -> Points:
    return value - np.floor(value)
