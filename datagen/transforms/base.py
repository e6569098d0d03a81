"""The base image of every TGIT transform: the whole picture squashed to 256 x 256 pixels, then made RGB."""

from __future__ import annotations

from PIL import Image

from fuselip.core.operations import need, need_sides
from fuselip.core.types import Operation

SIDE = 256
BASE = Operation.of("tgit.base", 1, side=SIDE)


def base(image: Image.Image | None, version: int, side: int) -> Image.Image:
    """RGB, `side` x `side`. Resized (bicubic) in the file's own mode first, as in the published models' preprocessing.

    The order shows in palette images (resampled by nearest pixel) and in RGBA ones (resampled with alpha weights).
    """
    image = need(image, "tgit.base", version)
    need_sides("tgit.base", side, side)
    return image.resize((side, side), Image.Resampling.BICUBIC).convert("RGB")
