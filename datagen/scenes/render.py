"""From a scene to pixels: the image operation "scene". The same bytes on every machine, several thousand a second."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from datagen.scenes.backgrounds import field
from datagen.scenes.spec import RENDER_VERSION, parse_spec
from datagen.scenes.stamps import Stamp, place
from datagen.scenes.types import Scene, Thing
from datagen.scenes.vocabulary import COLOURS, INKS, TONES
from fuselip.core.errors import UserError

MIN_SIZE, MAX_SIZE = 16, 1024
VISIBILITY_PIXELS = 64


def scene(image: Image.Image | None, version: int, spec: str, size: int) -> Image.Image:
    """RGB, `size` x `size`: the scene that `spec` describes (see `spec`). It is drawn on nothing: `image` is None.

    Raises UserError for an unknown version, a spec that is not well formed, a size out of bounds, or an image.
    """
    if version != RENDER_VERSION:
        raise UserError(
            f"image operation 'scene' has no version {version} here (known: {RENDER_VERSION}); update fuselip"
        )
    if image is not None:
        raise UserError("image operation 'scene' draws a picture of its own; make it the first step, without a source")
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise UserError(f"image operation 'scene': the size must be {MIN_SIZE} to {MAX_SIZE} pixels, not {size!r}")
    return Image.fromarray(render(parse_spec(spec), size))


def render(scene: Scene, size: int) -> np.ndarray:
    """uint8 [size, size, 3]."""
    ground = scene.background
    first, last = _colour(TONES[ground.tone]), _colour(TONES[ground.other])
    if ground.kind == "plain":
        canvas = np.empty((size, size, 3), np.float32)
        canvas[:] = first
    else:
        canvas = first + (last - first) * field(ground.kind, ground.variant, size)
    for thing in scene.things:
        made, rows, columns, inner = _window(thing, size)
        paint = (made.weights @ _palette(thing.colour)).reshape(*made.shape, 3)
        target = canvas[rows, columns]
        target *= made.rest[inner]
        target += paint[inner]
    canvas += 0.5
    return canvas.astype(np.uint8)


def visible_map(scene: Scene, size: int = VISIBILITY_PIXELS) -> np.ndarray:
    """int8 [size, size]: which thing (its index) shows at each pixel, -1 for the background."""
    labels = np.full((size, size), -1, np.int8)
    for index, thing in enumerate(scene.things):
        made, rows, columns, inner = _window(thing, size)
        labels[rows, columns][made.solid[inner]] = index
    return labels


def visible_fractions(scene: Scene) -> tuple[float, ...]:
    """For each thing, which share of its area is neither hidden by later things nor outside the picture."""
    labels = visible_map(scene)
    shown = np.bincount(labels.ravel() + 1, minlength=len(scene.things) + 1)[1:]
    areas = [int(place(thing, VISIBILITY_PIXELS)[0].solid.sum()) for thing in scene.things]
    return tuple(int(count) / max(area, 1) for count, area in zip(shown, areas, strict=True))


def box(thing: Thing, size: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels around all of the thing, hidden parts too, within the picture."""
    made, left, top = place(thing, size)
    height, width = made.shape
    return max(left, 0), max(top, 0), min(left + width, size), min(top + height, size)


def _window(thing: Thing, size: int) -> tuple[Stamp, slice, slice, tuple[slice, slice]]:
    """The stamp, the rows and columns of the picture it covers, and which part of the stamp that is."""
    made, left, top = place(thing, size)
    height, width = made.shape
    rows = slice(max(top, 0), max(min(top + height, size), 0))
    columns = slice(max(left, 0), max(min(left + width, size), 0))
    inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    return made, rows, columns, inner


@lru_cache
def _palette(colour: str) -> np.ndarray:
    """float32 [3, 3]: fill, ink and edge. Whole numbers: with weights in sixteenths all sums are exact."""
    fill = COLOURS[colour]
    edge = tuple(value * 2 // 5 for value in fill) if colour != "black" else (96, 96, 100)
    return np.array([fill, INKS[colour], edge], np.float32)


def _colour(rgb: tuple[int, int, int]) -> np.ndarray:
    return np.array(rgb, np.float32)
