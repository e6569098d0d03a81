"""TGIT colorize and grayscale: take the colours away, or ask for them back."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import need_rgb
from fuselip.core.types import Operation


def grayscale(image: Image.Image | None, version: int) -> Image.Image:
    """Luma (ITU-R 601) in all three channels."""
    image = need_rgb(image, "tgit.grayscale", version)
    return image.convert("L").convert("RGB")


GRAY = (Operation.of("tgit.grayscale", 1),)
GRAYSCALE = Edit("base-to-gray", "grayscale", GRAY, "gray", tags={"direction": "grayscale"})
COLORIZE = Edit("gray-to-base", "colorize", (), "base", left=GRAY, tags={"direction": "colorize"})
EDITS = (GRAYSCALE, COLORIZE)
