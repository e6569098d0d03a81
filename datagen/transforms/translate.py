"""Translate: push the picture to one side; what falls empty is black."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import BLACK, need_rgb, require
from fuselip.core.types import Operation

PERCENTS = (10, 20, 30, 40, 50)
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_PHRASES = {"right": "to the right", "left": "to the left", "up": "up", "down": "down"}


def translate(image: Image.Image | None, version: int, way: str, percent: int) -> Image.Image:
    """By `percent` of the side along which it moves, in whole pixels (rounded down)."""
    image = need_rgb(image, "edit.translate", version)
    require(way in WAYS, "edit.translate", f"no way {way!r}; ways: {', '.join(WAYS)}")
    require(0 <= percent <= 100, "edit.translate", f"percent must be 0 to 100, not {percent}")
    x, y = WAYS[way]
    frame = Image.new("RGB", image.size, BLACK)
    frame.paste(image, (x * (image.width * percent // 100), y * (image.height * percent // 100)))
    return frame


def _edit(percent: int, way: str) -> Edit:
    step = Operation.of("edit.translate", 1, way=way, percent=percent)
    key, text = f"{way}-{percent}", f"shift {percent} percent {_PHRASES[way]}"
    return Edit(key, text, (step,), key, tags={"way": way, "percent": percent, "toward": _PHRASES[way]})


EDITS = tuple(_edit(percent, way) for percent in PERCENTS for way in WAYS)
