"""A picture made by formula, and hashes of pictures: the same on every machine, so that results can be pinned."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image


def synthetic() -> Image.Image:
    """RGB, 320 x 240: two ramps and a diagonal wave, with two boxes, a disc and black stripes on top."""
    y, x = np.indices((240, 320))
    pixels = np.dstack([x * 255 // 319, y * 255 // 239, (x + 2 * y) % 256]).astype(np.uint8)
    pixels[40:100, 60:140] = 250, 20, 30
    pixels[120:200, 200:280] = 10, 60, 240
    pixels[np.hypot(x - 230, y - 60) < 30] = 240, 240, 40
    pixels[150:230:4, 20:100] = 0
    return Image.fromarray(pixels)


def pixel_hash(image: Image.Image) -> str:
    """First 20 hex digits of sha256 over the RGB bytes."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()[:20]
