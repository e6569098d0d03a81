"""Whether the answers of a group can be told apart by eye: the measured distance of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from fuselip.core.types import ImageRef, Pair


@dataclass(frozen=True)
class Distinct:
    """`kept`: indices of the pairs that can be told apart; `least`: the least distance among them, 0 if none is."""

    kept: tuple[int, ...]
    least: float


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference over all pixels and channels, in gray levels (0 to 255). Both RGB, of one size."""
    return float(np.asarray(ImageChops.difference(one, other)).mean())


def distinct(pairs: Sequence[Pair], threshold: float) -> Distinct:
    """Drop pairs whose edit does not show, and pairs whose answer is too like that of one kept before.

    Distances are between the right images, and between the left and the right image of each pair.
    Raises UserError where an image cannot be decoded.
    """
    loaded: dict[ImageRef, Image.Image] = {}

    def pixels(ref: ImageRef | None) -> Image.Image:
        assert ref is not None, "both sides of an edit hold an image"
        if ref not in loaded:
            loaded[ref] = ref.load()
        return loaded[ref]

    kept: list[int] = []
    least = 255.0
    for index, pair in enumerate(pairs):
        right = pixels(pair.right.image)
        # The earlier answers first, longest operations first: a base image is then reused, not made again.
        others = [pixels(pairs[other].right.image) for other in kept] + [pixels(pair.left.image)]
        nearest = min(distance(right, other) for other in others)
        if nearest >= threshold:
            kept.append(index)
            least = min(least, nearest)
    return Distinct(tuple(kept), least if kept else 0.0)
