"""TGIT transforms give the reference's pixels and the reference's draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import PIL
import pytest
from PIL import Image
from synthetic import pixel_hash, synthetic

from datagen.transforms import colorize, crop, flip, jitter, rotate
from datagen.transforms.base import BASE
from datagen.transforms.edit import Edit, Steps
from datagen.transforms.families import FAMILIES
from datagen.transforms.paper import PaperDraws, evaluation_mixture, training_mixture
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Operation

GOLDEN = Path(__file__).parents[3] / "shared/reference/golden/tgit/manifest.json"

# Ours, of the synthetic image, by Pillow 13.0.0. Decoding PNG is exact everywhere; resampling may differ by build.
PINNED_PILLOW = "13.0.0"
PINNED = {
    "base": "4334ae9dc677b777d44b",
    "crop to upper left": "f31695e1f74adfdfae24",
    "crop to center right": "51d5854c3eebb495ff73",
    "rotate 10 degrees clockwise": "5968ba7e4d2fc4f4012b",
    "rotate 90 degrees counter-clockwise": "95e9c4dc2a9ae1f925f7",
    "horizontal flip": "aa8fcb9e124f25bd2406",
    "vertical flip": "469241791b99da1512a4",
    "grayscale": "bda05a839f77e8d5c2b2",
}
