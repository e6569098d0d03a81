"""Shear: slant the picture about its middle, sideways or up and down; what falls empty is black."""

from __future__ import annotations

import math

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import BLACK, need_rgb, require
from fuselip.core.types import Operation

DEGREES = (10, 20, 30, 40)
_WAYS = {"right": ("horizontal", 1), "left": ("horizontal", -1), "up": ("vertical", 1), "down": ("vertical", -1)}
_PHRASES = {"right": "to the right", "left": "to the left", "up": "upwards", "down": "downwards"}


def shear(image: Image.Image | None, version: int, axis: str, degrees: int) -> Image.Image:
    """Positive `degrees` move the top edge right ("horizontal") or the right edge up ("vertical"). Bicubic."""
    image = need_rgb(image, "edit.shear", version)
    require(axis in ("horizontal", "vertical"), "edit.shear", f"no axis {axis!r}; write horizontal or vertical")
    require(-60 <= degrees <= 60, "edit.shear", f"degrees must be -60 to 60, not {degrees}")
    slope = math.tan(math.radians(degrees))
    if axis == "horizontal":
        matrix = (1.0, slope, -slope * image.height / 2, 0.0, 1.0, 0.0)
    else:
        matrix = (1.0, 0.0, 0.0, slope, 1.0, -slope * image.width / 2)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=BLACK)


def _edit(degrees: int, way: str) -> Edit:
    axis, sign = _WAYS[way]
    step = Operation.of("edit.shear", 1, axis=axis, degrees=sign * degrees)
    key, text = f"{way}-{degrees}", f"shear {degrees} degrees {_PHRASES[way]}"
    return Edit(key, text, (step,), key, tags={"way": way, "degrees": degrees, "toward": _PHRASES[way]})


EDITS = tuple(_edit(degrees, way) for degrees in DEGREES for way in _WAYS)
