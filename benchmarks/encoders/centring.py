"""The modality gap centred: the mean unit vector of each modality, over photos and texts that come with the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from datagen.sources.photos import Photos
from datagen.sources.types import Rejected
from fuselip.core.encoder import limits_of
from fuselip.core.fusion import FusionPolicy, TwoTower

Centre = Literal["none", "bundled"]
# Of many subjects and lengths, none from a benchmark. A change of them is a change of every centred score.
TEXTS = (
    "a photo of an animal",
    "a photo of a person",
    "a photo of food on a table",
    "a building in a city",
    "a landscape under a clear sky",
    "a vehicle on a road",
    "a drawing of simple shapes",
    "a close-up of a plant",
    "an indoor scene with furniture",
    "an object on a white background",
    "something red",
    "two things side by side",
    "make the picture brighter",
    "turn the picture upside down",
    "cut out the left half",
    "What is in the picture?",
    "Which colour is the object in front?",
    "How many people can be seen?",
    "yes",
    "a picture taken at night, with lights in the distance and water in the foreground",
)


def centred(policy: FusionPolicy, towers: TwoTower) -> FusionPolicy:
    """`policy` with the mean unit vectors [D] of the bundled photos (whole and in tiles) and of `TEXTS`."""
    photos = [item.image for item in Photos().items() if not isinstance(item, Rejected) and item.image is not None]
    limits = limits_of(towers)
    return replace(
        policy,
        centre=f"{len(photos)} bundled photos and {len(TEXTS)} texts",
        image_mean=_mean(towers.encode_images, photos, limits.images),
        text_mean=_mean(towers.encode_texts, TEXTS, limits.inputs),
    )


def _mean(encode: Any, values: Sequence[Any], step: int) -> np.ndarray:
    """float32 [D]."""
    vectors = np.concatenate([encode(list(values[start : start + step])) for start in range(0, len(values), step)])
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return units.mean(axis=0, dtype=np.float64).astype(np.float32)
