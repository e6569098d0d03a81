"""TGIT colour jitter: brightness, contrast and saturation scaled by named factors, in this order."""

from __future__ import annotations

import math

from PIL import Image, ImageEnhance

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import need_rgb
from fuselip.core.types import Operation

# 0.3 to 2.0 in steps of 0.1. 1.0 would change nothing, so no instruction names it.
FACTORS = tuple(tenths / 10 for tenths in range(3, 21) if tenths != 10)
CHANNELS = ("brightness", "contrast", "saturation")


def jitter(
    image: Image.Image | None, version: int, brightness: float, contrast: float, saturation: float
) -> Image.Image:
    """Blend with black, then with the mean gray, then with the image's own gray version; 1.0 leaves a step out."""
    image = need_rgb(image, "tgit.jitter", version)
    image = ImageEnhance.Brightness(image).enhance(brightness)
    image = ImageEnhance.Contrast(image).enhance(contrast)
    return ImageEnhance.Color(image).enhance(saturation)


def edit(factors: tuple[float, float, float]) -> Edit:
    """The edit of three factors (brightness, contrast, saturation), each one of FACTORS."""
    values = dict(zip(CHANNELS, factors, strict=True))
    parts = [f"{'increase' if f > 1 else 'decrease'} {channel} by factor {f}" for channel, f in values.items()]
    key = "-".join(f"{channel[0]}{factor}" for channel, factor in values.items())
    strength = round(sum(abs(math.log2(factor)) for factor in factors) / len(factors), 1)
    step = Operation.of("tgit.jitter", 1, **values)
    return Edit(key, " and ".join(parts), (step,), key, tags={**values, "strength": strength})
