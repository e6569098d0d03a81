"""Cutout: a black rectangle, of the picture's own shape, over one of nine places."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.crop import COLUMNS, ROWS
from datagen.transforms.edit import Edit
from datagen.transforms.rgb import BLACK, need_rgb, require
from fuselip.core.types import Operation

PERCENTS = (25, 50)


def cutout(image: Image.Image | None, version: int, row: str, column: str, percent: int) -> Image.Image:
    """`percent` of each side, against the edges of its place or centred."""
    image = need_rgb(image, "edit.cutout", version)
    require(row in ROWS and column in COLUMNS, "edit.cutout", f"no place {row!r} {column!r}")
    require(0 <= percent <= 100, "edit.cutout", f"percent must be 0 to 100, not {percent}")
    width, height = image.width * percent // 100, image.height * percent // 100
    left = (image.width - width) * COLUMNS.index(column) // 2
    top = (image.height - height) * ROWS.index(row) // 2
    image = image.copy()
    image.paste(BLACK, (left, top, left + width, top + height))
    return image


def _edit(percent: int, row: str, column: str) -> Edit:
    step = Operation.of("edit.cutout", 1, row=row, column=column, percent=percent)
    key, text = f"{row}-{column}-{percent}", f"cut out {percent} percent of each side at {row} {column}"
    return Edit(key, text, (step,), key, tags={"cell": f"{row} {column}", "percent": percent})


EDITS = tuple(_edit(percent, row, column) for percent in PERCENTS for row in ROWS for column in COLUMNS)
