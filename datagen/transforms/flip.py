"""TGIT flip: mirror the image, and mirror it back."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import need_rgb
from fuselip.core.errors import UserError
from fuselip.core.types import Operation

_METHODS = {"horizontal": Image.Transpose.FLIP_LEFT_RIGHT, "vertical": Image.Transpose.FLIP_TOP_BOTTOM}


def flip(image: Image.Image | None, version: int, axis: str) -> Image.Image:
    """`axis` "horizontal" swaps left and right, "vertical" swaps top and bottom."""
    image = need_rgb(image, "tgit.flip", version)
    if axis not in _METHODS:
        raise UserError(f"image operation 'tgit.flip': no axis {axis!r}; write horizontal or vertical")
    return image.transpose(_METHODS[axis])


def _edits(axis: str) -> tuple[Edit, Edit]:
    """There and back: both directions have the same instruction."""
    steps = (Operation.of("tgit.flip", 1, axis=axis),)
    there = Edit(f"base-to-{axis}", f"{axis} flip", steps, axis, tags={"axis": axis, "from": "base"})
    back = Edit(f"{axis}-to-base", f"{axis} flip", (), "base", left=steps, tags={"axis": axis, "from": axis})
    return there, back


EDITS = (*_edits("horizontal"), *_edits("vertical"))
