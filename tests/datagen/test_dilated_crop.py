"""The dilated crop: the authors' corners at the edges of a picture, and black where the square is not filled."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from datagen.transforms.dilated_crop import step
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ((2, 2, 10, 10), (0, 0, 17, 17)),  # what is cut off at the left and top is added at the right and bottom
        ((30, 5, 10, 20), (23, 0, 40, 30)),
        ((0.0, 0.0, 40.0, 30.0), (0, 0, 40, 30)),
    ],
)
def test_dilated_crop_at_the_edges(box: tuple[float, ...], corners: tuple[int, int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (30, 40, 3), dtype=np.uint8)
    made = np.asarray(ImageRef.from_pil(Image.fromarray(pixels)).then(step(*box)).load())
    left, top, right, bottom = corners
    assert made.shape[0] == made.shape[1] == max(right - left, bottom - top)
    inside = made[made.any(axis=(1, 2))][:, made.any(axis=(0, 2))]
    assert np.array_equal(inside, pixels[top:bottom, left:right])


def test_box_outside_the_picture_is_refused() -> None:
    picture = ImageRef.from_pil(Image.new("RGB", (20, 20)))
    for box in ((60, 2, 5, 5), (2, 2, 0, 5)):
        with pytest.raises(UserError, match="'dilated_crop'"):
            picture.then(step(*box)).load()
