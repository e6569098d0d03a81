"""Blur: a Gaussian of a named radius."""

from __future__ import annotations

from PIL import Image, ImageFilter

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import need_rgb, require
from fuselip.core.types import Operation

RADII = (1, 2, 4, 8, 16, 32)


def blur(image: Image.Image | None, version: int, radius: int) -> Image.Image:
    """`radius` is the standard deviation in pixels."""
    image = need_rgb(image, "edit.blur", version)
    require(0 <= radius <= 256, "edit.blur", f"the radius must be 0 to 256 pixels, not {radius}")
    return image.filter(ImageFilter.GaussianBlur(radius))


def _edit(radius: int) -> Edit:
    step = Operation.of("edit.blur", 1, radius=radius)
    return Edit(str(radius), f"blur with radius {radius}", (step,), str(radius), tags={"radius": radius})


EDITS = tuple(_edit(radius) for radius in RADII)
