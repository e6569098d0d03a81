"""Dilated crop: an object's box, widened, cut out and padded with black to a square (GeneCIS, attribute tasks)."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.rgb import BLACK, need_rgb, require
from fuselip.core.operations import need_sides
from fuselip.core.types import Operation

DILATION = 0.7


def step(left: float, top: float, width: float, height: float) -> Operation:
    """The operation for a box in pixels, (left, top) its corner, with the authors' dilation."""
    return Operation.of("dilated_crop", 1, left=left, top=top, width=width, height=height, dilation=DILATION)


def dilated_crop(
    image: Image.Image | None, version: int, left: float, top: float, width: float, height: float, dilation: float
) -> Image.Image:
    """As the authors' evaluation cuts it: (1 + dilation) times the box's sides, begun `dilation` of a side before it.

    So the cut grows to the left and upwards only, and to the right and downwards by as much as the picture's edge took
    away there. Corners are rounded to whole pixels, halves to the even one.
    """
    image = need_rgb(image, "dilated_crop", version)
    require(width > 0 and height > 0 and dilation >= 0, "dilated_crop", f"a box of {width} x {height} is none")
    x, y = max(0, left - dilation * width), max(0, top - dilation * height)
    right, bottom = min(image.width, x + (1 + dilation) * width), min(image.height, y + (1 + dilation) * height)
    corners = (round(x), round(y), round(right), round(bottom))
    where = f"the box ({left}, {top}, {width}, {height}) lies outside the image of {image.width}x{image.height} pixels"
    require(corners[0] < corners[2] and corners[1] < corners[3], "dilated_crop", where)
    cut = image.crop(corners)
    side = max(cut.size)
    need_sides("dilated_crop", side, side)
    square = Image.new("RGB", (side, side), BLACK)
    square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    return square
