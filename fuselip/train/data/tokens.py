"""The caches of training: codes of a frozen tokenizer, pixels at the model's side, which pairs of a group are kept.

Codes are a function of tokenizer and image recipe, so they are paid for once. With `draws=K` a source that draws anew
every epoch comes back to the same images after K epochs: a departure from redrawing, recorded with the run's config.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from fuselip.train.data.rows import RowCache

MOST_KEPT = 64  # pairs of a group whose being told apart is remembered: bits of one row


class ImageTokenizer(Protocol):
    """A frozen image tokenizer. `fingerprint` names its weights: other weights give another one."""

    fingerprint: str
    num_tokens: int

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [M, S, S, 3] to codes int [M, num_tokens]."""
        ...


def token_cache(folder: Path, fingerprint: str, num_tokens: int, side: int) -> RowCache:
    """Codes int32 [num_tokens] by image key, of one tokenizer at one side. UserError where the folder is another's."""
    name = hashlib.sha256(f"{fingerprint}\x1f{num_tokens}\x1f{side}".encode()).hexdigest()[:24]
    about = {"what": "image codes", "tokenizer": fingerprint, "side": side}
    return RowCache(folder / name, about, (num_tokens,), "int32")


def pixel_cache(folder: Path, side: int) -> RowCache:
    """Pixels uint8 [side, side, 3] by image key."""
    return RowCache(folder / f"pixels-{side}", {"what": "pixels"}, (side, side, 3), "uint8")


class KeptCache:
    """Which pairs of a group are kept, so that a group whose codes are cached needs no pixels."""

    def __init__(self, folder: Path, side: int) -> None:
        self._rows = RowCache(folder / f"kept-{side}", {"what": "pairs kept"}, (MOST_KEPT // 8,), "uint8")

    def get(self, key: bytes, count: int) -> list[int] | None:
        rows, here = self._rows.get([key])
        return np.flatnonzero(np.unpackbits(rows[0])[:count]).tolist() if here[0] else None

    def put(self, key: bytes, kept: Sequence[int]) -> None:
        bits = np.zeros(MOST_KEPT, np.uint8)
        bits[list(kept)] = 1
        self._rows.put([key], np.packbits(bits)[None])
