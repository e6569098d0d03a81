"""Regions of a scene: a box for each thing that some phrase picks out alone."""

from __future__ import annotations

from datagen.scenes.draws import Draws
from datagen.scenes.phrases import pick_out
from datagen.scenes.render import box
from datagen.scenes.types import Scene
from datagen.sources.types import Region


def regions(scene: Scene, size: int, draws: Draws) -> tuple[Region, ...]:
    """One region for each thing that can be told from all others; its label is the shape. `size` in pixels."""
    found = ((thing, pick_out(scene, index, draws)) for index, thing in enumerate(scene.things))
    return tuple(Region(phrase, box(thing, size), thing.shape) for thing, phrase in found if phrase)
