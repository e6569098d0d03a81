"""JPEG: the picture after a compression, with the blocks and smears of its quality."""

from __future__ import annotations

import io

from PIL import Image

from datagen.transforms.rgb import need_rgb, require


def jpeg(image: Image.Image | None, version: int, quality: int) -> Image.Image:
    """`quality` is libjpeg's scale, 1 to 95; chroma at half resolution, as cameras and sites store it."""
    image = need_rgb(image, "edit.jpeg", version)
    require(1 <= quality <= 95, "edit.jpeg", f"the quality must be 1 to 95, not {quality}")
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(held, formats=["JPEG"]) as again:
        return again.convert("RGB")
