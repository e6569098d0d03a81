"""Rectangles on images: how much two overlap, thinning out those that overlap, and pixels from fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence

Box = tuple[float, float, float, float]  # left, top, right, bottom
PixelBox = tuple[int, int, int, int]


def iou(one: Box, other: Box) -> float:
    """Area of the intersection over area of the union, 0 to 1; 0 where both are empty."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    union = area(one) + area(other) - both
    return both / union if union > 0 else 0.0


def area(box: Box) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def thin(boxes: Sequence[Box], max_iou: float) -> list[int]:
    """Indices of the boxes kept: in order, each that overlaps none kept before it by more than `max_iou`."""
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if all(iou(box, boxes[other]) <= max_iou for other in kept):
            kept.append(index)
    return kept


def clip(box: Box, width: int, height: int) -> PixelBox | None:
    """The whole pixels that a box touches inside an image of that size; None where there are none."""
    left, top = max(math.floor(box[0]), 0), max(math.floor(box[1]), 0)
    right, bottom = min(math.ceil(box[2]), width), min(math.ceil(box[3]), height)
    return (left, top, right, bottom) if left < right and top < bottom else None
