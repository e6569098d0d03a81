"""TGIT rotate: by 10 to 90 degrees either way about the middle, corners filled with black."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import BLACK, need_rgb
from fuselip.core.types import Operation, Scalar

DEGREES = tuple(range(10, 100, 10))


def rotate(image: Image.Image | None, version: int, angle: int) -> Image.Image:
    """`angle` in degrees, positive counter-clockwise. Nearest pixel, size kept, black where nothing is left."""
    image = need_rgb(image, "tgit.rotate", version)
    return image.rotate(angle, Image.Resampling.NEAREST, expand=False, fillcolor=BLACK)


def _edit(degrees: int, direction: str) -> Edit:
    angle = -degrees if direction == "clockwise" else degrees
    step = Operation.of("tgit.rotate", 1, angle=angle)
    tags: dict[str, Scalar] = {"angle": angle, "degrees": degrees, "direction": direction}
    return Edit(str(angle), f"rotate {degrees} degrees {direction}", (step,), str(angle), tags=tags)


EDITS = tuple(_edit(degrees, direction) for degrees in DEGREES for direction in ("clockwise", "counter-clockwise"))
