"""Small drawn photos and small real encoders for end-to-end tests."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fuselip.core.types import Input


def draw(folder: Path, count: int, side: int = 96) -> Path:
    """`count` colourful, asymmetric pictures as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:side, 0:side] / side
    for number in range(count):
        random = np.random.default_rng(number)
        waves = [np.sin(6 * (a * x + b * y) + c) for a, b, c in random.uniform(-1, 1, (3, 3)) * 4]
        pixels = (127.5 * (1 + np.stack(waves, -1))).astype(np.uint8)
        for _ in range(6):
            top, left = random.integers(0, side - 20, 2)
            height, width = random.integers(8, 20, 2)
            pixels[top : top + height, left : left + width] = random.integers(0, 256, 3)
        Image.fromarray(pixels).save(folder / f"picture{number}.png")
    return folder


class Thumbnails:
    """A real encoder with one method: an 8x8 thumbnail beside hashed words. Knows a little of both modalities."""

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        return np.stack([np.concatenate([self.picture(item), self.words(item.text)]) for item in inputs])

    @staticmethod
    def picture(item: Input) -> np.ndarray:
        if item.image is None:
            return np.zeros(192)
        pixels = np.asarray(item.image.load().resize((8, 8)), np.float32).ravel() / 255
        return pixels - pixels.mean()

    @staticmethod
    def words(text: str) -> np.ndarray:
        vector = np.zeros(32)
        for word in text.split():
            vector[zlib.crc32(word.encode()) % 32] += 0.1
        return vector


class PositionBiased:
    """Scores by place in the list alone: the first inputs of a call are most alike. Must not profit from it."""

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        angles = np.arange(len(inputs)) / 100
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


class NotANumber:
    """Gives NaN for pictures turned clockwise by 30 degrees, as a model that overflows now and then would."""

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        vectors = Thumbnails().encode(inputs)
        for row, item in enumerate(inputs):
            if item.image and any(dict(step.params).get("angle") == -30 for step in item.image.operations):
                vectors[row] = np.nan
        return vectors
