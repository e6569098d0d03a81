"""Colour layout, colour names and hashed words: what can be had without a network."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import PIL
from PIL import Image, ImageOps

from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.types import Input, content_hash

VERSION = "0.1.0"
WORDS = 256
COLOURS = {
    "black": (10, 10, 10),
    "white": (245, 245, 245),
    "gray": (128, 128, 128),
    "red": (200, 30, 30),
    "orange": (240, 140, 30),
    "yellow": (240, 225, 50),
    "green": (50, 150, 50),
    "blue": (40, 80, 200),
    "purple": (130, 50, 160),
    "pink": (245, 160, 190),
    "brown": (120, 75, 40),
}
PALETTE = np.array(list(COLOURS.values()), np.float32) / 255
EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    r"horizontal flip|mirror": ImageOps.mirror,
    r"vertical flip|upside down": ImageOps.flip,
    r"\bgr[ae]y ?scale|black and white": lambda image: ImageOps.grayscale(image).convert("RGB"),
}


class ColourWords:
    """Three blocks of one vector: where which colours are, how much of each named colour, and which words.

    Image and text meet in the named colours; a text beside an image also edits it (flips, gray) before it is measured.
    """

    limits = Limits(images=64, inputs=1024)

    def __init__(self, grid: int = 12, layout: float = 1.0, colours: float = 0.5, words: float = 0.3) -> None:
        """`grid`: cells per side of the layout. `layout`, `colours`, `words`: weights of the blocks."""
        if grid < 1:
            raise ValueError("grid must be at least 1")
        self.grid = grid
        self.weights = (layout, colours, words)
        dim = 3 * grid * grid + len(COLOURS) + WORDS + 1
        settings = {"grid": grid, "layout": layout, "colours": colours, "words": words}
        self.info = EncoderInfo(
            name="colour-words",
            revision=VERSION,
            dim=dim,
            fusion="the text edits the image; then concatenation",
            params=0,
            licence="MIT",
            # All that the numbers depend on: this code, its settings, and who decodes and resizes.
            fingerprint=content_hash(["colour-words", VERSION, settings, PIL.__version__, np.__version__]),
            settings=settings,
        )

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        """float32 [N, 3 * grid^2 + 11 + 256 + 1]; the last number is a small constant, so that no vector is zero."""
        return np.stack([self._vector(item) for item in inputs])

    def _vector(self, item: Input) -> np.ndarray:
        layout = np.zeros(3 * self.grid**2, np.float32)
        colours = np.zeros(len(COLOURS), np.float32)
        if item.image is not None:
            pixels = self._pixels(item.image.load(), item.text)
            layout = (pixels - pixels.mean(axis=0)).ravel()
            colours = colour_shares(pixels)
        words = re.findall(r"\w+", item.text.lower())
        for word in words:
            if word in COLOURS:
                colours[list(COLOURS).index(word)] += 1
        blocks = (layout, colours, hashed(words))
        scaled = [weight * unit(block) for weight, block in zip(self.weights, blocks, strict=True)]
        return np.concatenate([*scaled, np.array([0.01], np.float32)])

    def _pixels(self, image: Image.Image, text: str) -> np.ndarray:
        """float32 [grid^2, 3] in [0, 1], of the image as the text says it should be."""
        small = image.resize((self.grid, self.grid), Image.Resampling.BOX)
        for pattern, edit in EDITS.items():
            if re.search(pattern, text.lower()):
                small = edit(small)
        return np.asarray(small, np.float32).reshape(-1, 3) / 255


def colour_shares(pixels: np.ndarray) -> np.ndarray:
    """float32 [11]: the share of the pixels [P, 3] nearest to each named colour."""
    nearest = ((pixels[:, None] - PALETTE) ** 2).sum(axis=2).argmin(axis=1)
    return (np.bincount(nearest, minlength=len(COLOURS)) / len(pixels)).astype(np.float32)


def hashed(words: Sequence[str]) -> np.ndarray:
    """float32 [256]: counts of words by a hash that is the same in every process (Python's own is not)."""
    counts = np.zeros(WORDS, np.float32)
    for word in words:
        counts[zlib.crc32(word.encode("utf-8", "replace")) % WORDS] += 1
    return counts


def unit(block: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(block)
    return block / norm if norm > 0 else block
