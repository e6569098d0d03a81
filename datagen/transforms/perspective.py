"""Perspective: tilt one edge of the picture away from the viewer; what falls empty is black."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import BLACK, need_rgb, require
from fuselip.core.types import Operation

PERCENTS = (10, 20, 30, 40, 50)
# How to bring each edge to the left: these three turns undo themselves, so they also lead back.
_TURNS = {
    "left": (),
    "right": (Image.Transpose.FLIP_LEFT_RIGHT,),
    "top": (Image.Transpose.TRANSPOSE,),
    "bottom": (Image.Transpose.TRANSVERSE,),
}


def perspective(image: Image.Image | None, version: int, edge: str, percent: int) -> Image.Image:
    """The `edge` becomes `percent` shorter, the opposite edge stays. Bicubic."""
    image = need_rgb(image, "edit.perspective", version)
    require(edge in _TURNS, "edit.perspective", f"no edge {edge!r}; edges: {', '.join(_TURNS)}")
    require(0 <= percent <= 90, "edit.perspective", f"percent must be 0 to 90, not {percent}")
    for turn in _TURNS[edge]:
        image = image.transpose(turn)
    stretch = 100 / (100 - percent)
    depth, middle = (stretch - 1) / image.width, image.height / 2
    # Output (x, y) shows input (u, v): u = stretch x / w, v - middle = stretch (y - middle) / w, with w = 1 + depth x.
    matrix = (stretch, 0.0, 0.0, middle * depth, stretch, middle * (1 - stretch), depth, 0.0)
    image = image.transform(image.size, Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BICUBIC, fillcolor=BLACK)
    for turn in _TURNS[edge]:
        image = image.transpose(turn)
    return image


def _edit(percent: int, edge: str) -> Edit:
    step = Operation.of("edit.perspective", 1, edge=edge, percent=percent)
    key, text = f"{edge}-{percent}", f"tilt the {edge} edge away by {percent} percent"
    return Edit(key, text, (step,), key, tags={"edge": edge, "percent": percent})


EDITS = tuple(_edit(percent, edge) for percent in PERCENTS for edge in _TURNS)
