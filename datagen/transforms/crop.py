"""TGIT crop: nine overlapping quarters of the base image, enlarged to its size."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import need_rgb
from fuselip.core.errors import UserError
from fuselip.core.types import Operation

ROWS = ("upper", "center", "lower")
COLUMNS = ("left", "center", "right")


def crop(image: Image.Image | None, version: int, row: str, column: str) -> Image.Image:
    """Half the width by half the height at offset 0, a quarter or a half of the side, resized back (bicubic)."""
    image = need_rgb(image, "tgit.crop", version)
    if row not in ROWS or column not in COLUMNS:
        raise UserError(f"image operation 'tgit.crop': no cell {row!r} {column!r}; rows {ROWS}, columns {COLUMNS}")
    width, height = image.width // 2, image.height // 2
    left = (image.width - width) * COLUMNS.index(column) // 2
    top = (image.height - height) * ROWS.index(row) // 2
    cell = image.crop((left, top, left + width, top + height))
    return cell.resize(image.size, Image.Resampling.BICUBIC)


def _edit(row: str, column: str) -> Edit:
    step = Operation.of("tgit.crop", 1, row=row, column=column)
    cell = f"{row} {column}"
    return Edit(cell, f"crop to {row} {column}", (step,), cell, tags={"cell": cell})


EDITS = tuple(_edit(row, column) for row in ROWS for column in COLUMNS)
