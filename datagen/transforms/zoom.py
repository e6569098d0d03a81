"""Zoom: enlarge the middle of the picture, or shrink the whole into a black frame."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import BLACK, need_rgb, require
from fuselip.core.types import Operation

FACTORS = (1.2, 1.5, 2.0, 2.5, 3.0)
_WAYS = ("in", "out")


def zoom(image: Image.Image | None, version: int, way: str, factor: float) -> Image.Image:
    """`way` "in" shows the middle 1 / `factor` of each side; "out" the whole at 1 / `factor` of its size. Bicubic."""
    image = need_rgb(image, "edit.zoom", version)
    require(way in _WAYS, "edit.zoom", f"no way {way!r}; write in or out")
    require(1 <= factor <= 16, "edit.zoom", f"the factor must be 1 to 16, not {factor}")
    width, height = max(1, round(image.width / factor)), max(1, round(image.height / factor))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if way == "in":
        middle = image.crop((left, top, left + width, top + height))
        return middle.resize(image.size, Image.Resampling.BICUBIC)
    frame = Image.new("RGB", image.size, BLACK)
    frame.paste(image.resize((width, height), Image.Resampling.BICUBIC), (left, top))
    return frame


def _edit(factor: float, way: str) -> Edit:
    step = Operation.of("edit.zoom", 1, way=way, factor=factor)
    key, text = f"{way}-{factor}", f"zoom {way} by factor {factor}"
    return Edit(key, text, (step,), key, tags={"way": way, "factor": factor})


EDITS = tuple(_edit(factor, way) for factor in FACTORS for way in _WAYS)
