"""Colour photos that come with scikit-image and scikit-learn: whole, and cut into tiles. Nothing is downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datagen.sources.quarantine import quarantine
from datagen.sources.types import Rejected, SourceItem
from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Operation

# At least this many pixels a side, at most this many tiles a side: large photos would outweigh the others.
MIN_TILE = 200
MAX_TILES = 3
# Standard deviation of a tile's gray levels (0..255) below which it shows nothing that could be told from its edits.
MIN_CONTRAST = 12.0

_FOLDERS = {"skimage": ("scikit-image", "data"), "sklearn": ("scikit-learn", "datasets/images")}
_SKIMAGE = "bundled with scikit-image; for its licence see scikit-image"


@dataclass(frozen=True)
class Photo:
    name: str
    package: str
    file: str
    credit: str
    quick: bool = False


PHOTOS = (
    Photo("astronaut", "skimage", "astronaut.png", _SKIMAGE, quick=True),
    Photo("chelsea", "skimage", "chelsea.png", _SKIMAGE, quick=True),
    Photo("coffee", "skimage", "coffee.png", _SKIMAGE, quick=True),
    Photo("rocket", "skimage", "rocket.jpg", _SKIMAGE, quick=True),
    Photo("hubble_deep_field", "skimage", "hubble_deep_field.jpg", _SKIMAGE),
    Photo("retina", "skimage", "retina.jpg", _SKIMAGE),
    Photo("ihc", "skimage", "ihc.png", _SKIMAGE),
    Photo("motorcycle", "skimage", "motorcycle_left.png", _SKIMAGE, quick=True),
    Photo("china", "sklearn", "china.jpg", "danielbuechele, CC BY 2.0 (scikit-learn)"),
    Photo("flower", "sklearn", "flower.jpg", "flickr.com/photos/vultilion, CC BY 2.0 (scikit-learn)"),
)


class Photos:
    """All photos whole and then, photo by photo, their tiles; with `quick`, five whole photos of scikit-image only."""

    def __init__(self, quick: bool = False) -> None:
        self.quick = quick
        self.name = "photos:quick" if quick else "photos"

    def items(self) -> Iterator[SourceItem | Rejected]:
        return quarantine(self.name, self._items())

    def _items(self) -> Iterator[SourceItem | Rejected]:
        photos = [photo for photo in PHOTOS if photo.quick or not self.quick]
        for photo in photos:
            yield SourceItem(photo.name, _reference(photo), origin=photo.name, credit=photo.credit)
        if not self.quick:
            for photo in photos:
                yield from _tiles(photo)


def grid(length: int) -> list[tuple[int, int]]:
    """Cuts `length` pixels into as many equal parts as MIN_TILE and MAX_TILES allow: (start, end) of each."""
    count = min(max(length // MIN_TILE, 1), MAX_TILES)
    return [(length * index // count, length * (index + 1) // count) for index in range(count)]


def _tiles(photo: Photo) -> Iterator[SourceItem | Rejected]:
    """Tiles that do not overlap, row by row. A photo too small for two is not cut."""
    whole = _reference(photo)
    image = images.realise(whole)
    boxes = [(x0, y0, x1, y1) for y0, y1 in grid(image.height) for x0, x1 in grid(image.width)]
    if len(boxes) == 1:
        return
    columns = len(grid(image.width))
    for index, (left, top, right, bottom) in enumerate(boxes):
        key = f"{photo.name}/tile-{index // columns + 1}-{index % columns + 1}"
        tile = whole.then(Operation.of("box", 1, left=left, top=top, right=right, bottom=bottom))
        contrast = float(np.asarray(image.crop((left, top, right, bottom)).convert("L")).std())
        if contrast < MIN_CONTRAST:
            yield Rejected(key, f"almost uniform: contrast {contrast:.1f} of 255, below {MIN_CONTRAST}")
        else:
            yield SourceItem(key, tile, origin=photo.name, credit=photo.credit)


def _reference(photo: Photo) -> ImageRef:
    return images.ref_from_file(_folder(photo.package) / photo.file)


def _folder(package: str) -> Path:
    """Where a package keeps its pictures. The package is only located, not imported: importing it takes seconds."""
    distribution, folder = _FOLDERS[package]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise UserError(f"the bundled photos need the package {distribution}; run `pip install {distribution}`")
    return Path(found.origin).parent / folder
