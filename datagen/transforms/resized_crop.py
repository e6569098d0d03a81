"""The training-time crop: nine tenths or more of the picture, squashed to the base image's size, and its draw."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from datagen.transforms.base import SIDE
from fuselip.core.operations import box, need
from fuselip.core.types import Operation

SCALE = (0.9, 1.0)
RATIO = (3 / 4, 4 / 3)
TRIES = 10


def resized_crop(
    image: Image.Image | None, version: int, left: int, top: int, width: int, height: int, side: int
) -> Image.Image:
    """RGB, `side` x `side`: the rectangle cut out, resized (bicubic) in the file's own mode, and only then made RGB.

    Cut before resizing: resizing a box of the whole picture would mix in pixels from outside it.
    Raises UserError where the rectangle is not inside the image.
    """
    image = need(image, "tgit.resized_crop", version)
    if (left, top, width, height) != (0, 0, *image.size):
        image = box(image, 1, left, top, left + width, top + height)
    return image.resize((side, side), Image.Resampling.BICUBIC).convert("RGB")


def draw(size: tuple[int, int], rng: np.random.Generator) -> Operation:
    """A random such crop of an image of `size` (width, height).

    Area uniform in SCALE, the logarithm of width / height uniform in RATIO, position uniform; after TRIES that do not
    fit, the largest centred rectangle whose ratio does (Inception's crop, as torchvision draws it, from our generator).
    """
    left, top, width, height = _rectangle(*size, rng)
    return Operation.of("tgit.resized_crop", 1, left=left, top=top, width=width, height=height, side=SIDE)


def _rectangle(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    for _ in range(TRIES):
        area = width * height * rng.uniform(*SCALE)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = int(rng.integers(0, height - h + 1))
            return int(rng.integers(0, width - w + 1)), top, w, h
    w = min(width, max(1, round(height * RATIO[1])))
    h = min(height, max(1, round(width / RATIO[0])))
    return (width - w) // 2, (height - h) // 2, w, h
