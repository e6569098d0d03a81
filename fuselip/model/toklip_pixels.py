"""Both ways of making a picture square for TokLIP: the middle cut out, or squashed; what was taken is recorded."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fuselip.core import images
from fuselip.core.types import ImageRef
from fuselip.model.toklip_config import Resize

MAX_ASPECT = 100  # the long side of a strip is cut to this first: scaling its short side up would take terabytes


def square(ref: ImageRef, side: int, resize: Resize) -> np.ndarray:
    """uint8 [side, side, 3]; bicubic and antialiased in the file's own mode, only then made RGB.

    "crop": the short side to `side`, then the middle. "squash": see `images.rgb_pixels`.
    """
    return images.rgb_pixels(ref, side) if resize == "squash" else _cropped(images.realise(ref), side)


def _cropped(image: Image.Image, side: int) -> np.ndarray:
    width, height = image.size
    short = min(width, height)
    image = _middle(image, min(width, MAX_ASPECT * short), min(height, MAX_ASPECT * short))
    width, height = image.size
    scaled = images.resize(image, max(side, side * width // short), max(side, side * height // short))
    return np.asarray(_middle(scaled, side, side).convert("RGB"))


def _middle(image: Image.Image, width: int, height: int) -> Image.Image:
    """Halves round to even, as where models like this one are trained."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
