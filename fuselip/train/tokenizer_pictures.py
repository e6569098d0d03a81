"""Pictures to train an image tokenizer on: rendered once into a memory-mapped file, changed anew at every step.

Shapes: N pictures, B batch, S pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core import images, plugins
from fuselip.core.errors import UserError
from fuselip.core.files import atomic, read_json, write_json
from fuselip.core.types import content_hash

OPEN_SOURCE = "datagen.sources.registry:open_source"  # by name: training knows pictures, not who draws them
PIXELS_FILE, RECORD_FILE = "pictures.npy", "pictures.json"


def pictures(sources: Sequence[str], side: int, cache: Path) -> np.ndarray:
    """uint8 [N, S, S, 3] of all pictures that `sources` (as `open_source` reads them) give, mapped from `cache`.

    Rendered where `cache` does not hold them yet. A source may also be a .npy file of such an array.
    Raises UserError where a source holds no picture.
    """
    if len(sources) == 1 and sources[0].endswith(".npy"):
        return _mapped(Path(sources[0]), side)
    record = {"sources": list(sources), "side": side}
    folder = cache / content_hash(["tokenizer pictures", 1, record])[:16]
    if not (folder / RECORD_FILE).is_file() or read_json(folder / RECORD_FILE) != record:
        rows = np.stack(list(_rendered(sources, side)))
        with atomic(folder / PIXELS_FILE) as stream:
            np.save(stream, rows, allow_pickle=False)
        write_json(folder / RECORD_FILE, record)  # last: it says that the pictures are whole
    return _mapped(folder / PIXELS_FILE, side)


def _rendered(sources: Sequence[str], side: int) -> Iterator[np.ndarray]:
    open_source = plugins.load(OPEN_SOURCE)
    for spec in sources:
        found = 0
        for item in open_source(spec).items():
            image: Any = getattr(item, "image", None)  # what a source rejects has none
            if image is not None:
                yield images.rgb_pixels(image, side)
                found += 1
        if not found:
            raise UserError(f"the source {spec!r} holds no picture to train on")


def _mapped(path: Path, side: int) -> np.ndarray:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as an array of pictures ({error})") from error
    if rows.dtype != np.uint8 or rows.ndim != 4 or rows.shape[1:] != (side, side, 3) or not len(rows):
        raise UserError(f"{path} holds {rows.dtype} {list(rows.shape)}; pictures are uint8 [N, {side}, {side}, 3]")
    return rows


def to_floats(pixels: np.ndarray) -> Tensor:
    """float [B, 3, S, S] in 0..1 of uint8 [B, S, S, 3]."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float().div(255)


def vary(pixels_BCHW: Tensor, draws: np.random.Generator) -> Tensor:
    """What the transforms of training do to pictures: turns, flips, crops, black corners, other colours, gray.

    Half of the pictures keep their geometry, half their colours: the plain picture is what is met most.
    """
    batch = len(pixels_BCHW)
    moved = torch.from_numpy(draws.random(batch) < 0.5)
    angles = np.where(
        draws.random(batch) < 0.5, draws.integers(0, 4, batch) * (math.pi / 2), draws.uniform(0, 7, batch)
    )
    zoom = draws.uniform(0.4, 1.05, batch)
    centre = draws.uniform(-1, 1, (batch, 2)) * np.maximum(0, 1 - zoom)[:, None]
    mirror = np.where(draws.random(batch) < 0.3, -1.0, 1.0)
    cos, sin = np.cos(angles) * zoom, np.sin(angles) * zoom
    theta = np.stack([mirror * cos, -sin, centre[:, 0], mirror * sin, cos, centre[:, 1]], axis=1)
    grid = F.affine_grid(torch.from_numpy(theta).float().view(-1, 2, 3), list(pixels_BCHW.shape), align_corners=False)
    x = F.grid_sample(pixels_BCHW, grid, align_corners=False)
    x = torch.where(moved[:, None, None, None], x, pixels_BCHW)
    return _recoloured(x, draws)


def _recoloured(x_BCHW: Tensor, draws: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation by factors of 0.4 to 1.8 each; one in ten gray."""
    batch = len(x_BCHW)
    kept = draws.random(batch) < 0.5
    factors = np.where(kept[:, None], 1.0, np.exp(draws.uniform(math.log(0.4), math.log(1.8), (batch, 3))))
    factors[:, 2] *= draws.random(batch) > 0.1
    bright, contrast, saturation = torch.from_numpy(factors).float()[:, :, None, None, None].unbind(1)
    x = (x_BCHW * bright).clamp(0, 1)
    x = x.lerp(_gray(x).mean((2, 3), keepdim=True).expand_as(x), 1 - contrast).clamp(0, 1)
    return x.lerp(_gray(x).expand_as(x), 1 - saturation).clamp(0, 1)


def _gray(x_BCHW: Tensor) -> Tensor:
    return (x_BCHW * x_BCHW.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
