"""The caches of training: codes (and vectors) of a frozen tokenizer, pixels at the model's side, which pairs are kept.

Codes and vectors are a function of tokenizer and image recipe, so they are paid for once. With `draws=K` a source that
draws anew every epoch comes back to the same images after K epochs: a departure from redrawing, recorded with the run's
config.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from fuselip.core.errors import UserError
from fuselip.train.data.rows import RowCache

MOST_KEPT = 64  # pairs of a group whose being told apart is remembered: bits of one row


class ImageTokenizer(Protocol):
    """A frozen image tokenizer. `fingerprint` names its weights: other weights give another one."""

    fingerprint: str
    num_tokens: int

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [M, S, S, 3] to codes int [M, num_tokens]."""
        ...


@runtime_checkable
class WithVectors(Protocol):
    """One that may give vectors beside codes, `num_vectors` an image; `vector_dim` is 0 where it does not."""

    num_vectors: int
    vector_dim: int

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 [M, S, S, 3] to codes int [M, num_tokens] and vectors float16 [M, num_vectors, vector_dim]."""
        ...


@dataclass(frozen=True)
class Tokenized:
    """Which tokenizer's codes are looked up, and how many vectors of how many channels with them (0: none)."""

    fingerprint: str
    num_tokens: int
    num_vectors: int = 0
    vector_dim: int = 0

    @classmethod
    def of(cls, tokenizer: ImageTokenizer) -> Tokenized:
        vectors = (tokenizer.num_vectors, tokenizer.vector_dim) if isinstance(tokenizer, WithVectors) else (0, 0)
        return cls(tokenizer.fingerprint, tokenizer.num_tokens, *vectors)


class TokenCache:
    """Codes int32 [N], and perhaps vectors float16 [V, C], by image key, of one tokenizer at one side.

    Vectors lie in a cache of their own beside the codes: a run that reads codes alone shares those, and worker
    processes never touch vectors. Raises UserError where a folder is another tokenizer's.
    """

    def __init__(self, folder: Path, tokenized: Tokenized, side: int) -> None:
        fingerprint, count, dim = tokenized.fingerprint, tokenized.num_tokens, tokenized.vector_dim
        name = hashlib.sha256(f"{fingerprint}\x1f{count}\x1f{side}".encode()).hexdigest()[:24]
        about = {"tokenizer": fingerprint, "side": side}
        self._codes = RowCache(folder / name, {"what": "image codes", **about}, (count,), "int32")
        self._vectors: RowCache | None = None
        if dim:
            about["what"] = "image vectors"
            self._vectors = RowCache(folder / f"{name}-vectors", about, (tokenized.num_vectors, dim), "float16")

    def codes(self, keys: Sequence[bytes]) -> np.ndarray:
        """int32 [n, N]; rows of -1 where an image is not here, with all that is kept of it."""
        found, here = self._codes.get(keys)
        if self._vectors is not None:
            here &= self._vectors.has(keys)
        found[~here] = -1
        return found

    def vectors(self, keys: Sequence[bytes]) -> np.ndarray | None:
        """float16 [n, V, C] of images whose codes are here. Raises UserError where their bytes are damaged."""
        if self._vectors is None:
            return None
        found, here = self._vectors.get(keys)
        if not here.all():
            self._vectors.refresh()  # another process may have seen, or made, what this one has not yet
            found, here = self._vectors.get(keys)
        if not here.all():
            raise UserError(
                f"{self._vectors.folder} is damaged: vectors of {int((~here).sum())} images cannot be read. Delete it "
                "(its contents are made again)"
            )
        return found

    def put(self, keys: Sequence[bytes], codes: np.ndarray, vectors: np.ndarray | None = None) -> None:
        """Codes [n, N] and, where they are kept, vectors [n, V, C]."""
        if self._vectors is not None:
            assert vectors is not None, "vectors are kept with the codes"
            self._vectors.put(keys, vectors)
        self._codes.put(keys, codes)

    def refresh(self) -> None:
        """See what other processes have cached since."""
        self._codes.refresh()
        if self._vectors is not None:
            self._vectors.refresh()


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
