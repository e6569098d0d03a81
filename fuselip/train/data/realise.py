"""From a Group to a Piece: choose its pairs, make each image once at the model's side, tokenize its texts.

This is what worker processes do; nothing here imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuselip.core import images, seeds
from fuselip.core.types import Group, ImageRef, Input, Pair
from fuselip.train.data.pieces import KEY_BYTES, NO_IMAGE, Address, Piece, SidePiece, drawn
from fuselip.train.data.texts import Texts
from fuselip.train.data.tokens import MOST_KEPT, KeptCache, TokenCache, Tokenized, pixel_cache

APART = "apart"
"""A group's parameter: right images nearer to an earlier one than so many gray levels are left out."""

# Operations after which resizing gives the same pixels as before, with what they do to an array of pixels.
_AFTER: dict[tuple[str, int], Callable[[np.ndarray, dict[str, Any]], np.ndarray]] = {
    ("tgit.flip", 1): lambda pixels, params: pixels[:, ::-1] if params["axis"] == "horizontal" else pixels[::-1],
}


@dataclass(frozen=True)
class Making:
    """All that making a piece depends on, beside the group: small, and sent to the workers."""

    model_config: Any
    side: int
    seed: int
    max_group: int
    tokens: str = ""
    tokenized: Tokenized | None = None
    pixels: str = ""


class Realiser:
    """Makes pieces. Holds the caches and the texts already tokenized; one for each process."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._texts: Texts | None = None
        self._codes: TokenCache | None = None
        self._kept: KeptCache | None = None
        if making.tokenized is not None and making.tokens:
            folder = Path(making.tokens)
            self._codes = TokenCache(folder, making.tokenized, making.side)
            self._kept = KeptCache(folder, making.side)
        self._pixels = pixel_cache(Path(making.pixels), making.side) if making.pixels else None

    def refresh(self) -> None:
        """See what other processes have cached since."""
        if self._codes is not None:
            self._codes.refresh()

    def piece(self, group: Group, address: Address) -> Piece | None:
        """The piece of a group, or None where none of its pairs is left. Raises UserError for images that fail."""
        loaded: dict[ImageRef, np.ndarray] = {}
        pairs = self.pairs(group, address, loaded)
        if not pairs:
            return None
        left = self._side([pair.left for pair in pairs], loaded)
        right = self._side([pair.right for pair in pairs], loaded)
        return Piece(left, right, tuple(right_key(pair) for pair in pairs), address)

    def pairs(self, group: Group, address: Address, loaded: dict[ImageRef, np.ndarray]) -> list[Pair]:
        """The group's pairs: a draw of `max_group` of them, less those whose answers cannot be told apart."""
        most = self._making.max_group
        pairs = list(group.pairs)
        if most and len(pairs) > most:
            rng = seeds.generator("max_group", self._making.seed, *address)
            pairs = [pairs[index] for index in drawn(len(pairs), most, rng)]
        apart = float(group.params.get(APART, 0))
        return self._told_apart(pairs, apart, loaded) if apart else pairs

    def _side(self, inputs: Sequence[Input], loaded: dict[ImageRef, np.ndarray]) -> SidePiece:
        refs = list(dict.fromkeys(each.image for each in inputs if each.image is not None))
        number = {ref: place for place, ref in enumerate(refs)}
        rows = np.array([NO_IMAGE if each.image is None else number[each.image] for each in inputs], np.int64)
        keys = tuple(bytes.fromhex(ref.key) for ref in refs)
        if self._texts is None:
            self._texts = Texts(self._making.model_config)
        texts = tuple(self._texts(each.text) for each in inputs)
        codes = None
        if self._codes is not None:
            codes = self._codes.codes(keys)
            if (codes[:, 0] >= 0).all():
                return SidePiece(texts, rows, keys, codes, None)
        return SidePiece(texts, rows, keys, codes, self.load(refs, keys, loaded))

    def load(self, refs: Sequence[ImageRef], keys: Sequence[bytes], loaded: dict[ImageRef, np.ndarray]) -> np.ndarray:
        """uint8 [m, S, S, 3]: what is not in `loaded` or cached is made."""
        side = self._making.side
        if not refs:
            return np.empty((0, side, side, 3), np.uint8)
        if self._pixels is None:
            return np.stack([self._make(ref, loaded) for ref in refs])
        found, here = self._pixels.get(keys)
        missing = np.flatnonzero(~here).tolist()
        for place in missing:
            found[place] = self._make(refs[place], loaded)
        self._pixels.put([keys[place] for place in missing], found[missing])
        return found

    def _make(self, ref: ImageRef, loaded: dict[ImageRef, np.ndarray]) -> np.ndarray:
        """As `images.rgb_pixels`, each image of the group once."""
        if ref not in loaded:
            last = ref.operations[-1] if ref.operations else None
            after = _AFTER.get((last.name, last.version)) if last else None
            if last is not None and after is not None and len(ref.operations) > 1:
                before = ImageRef(ref.source, ref.operations[:-1], ref.locator)
                loaded[ref] = after(self._make(before, loaded), dict(last.params))
            else:
                loaded[ref] = images.rgb_pixels(ref, self._making.side)
        return loaded[ref]

    def _told_apart(self, pairs: list[Pair], apart: float, loaded: dict[ImageRef, np.ndarray]) -> list[Pair]:
        """The pairs whose right image is the same as an earlier one's, or at least `apart` gray levels from all."""
        text = "\x1f".join([repr(apart), *(pair.right.key for pair in pairs)])
        key = hashlib.sha256(text.encode()).digest()
        kept = self._kept.get(key, len(pairs)) if self._kept is not None and len(pairs) <= MOST_KEPT else None
        if kept is None:
            kept = self._far(pairs, apart, loaded)
            if self._kept is not None and len(pairs) <= MOST_KEPT:
                self._kept.put(key, kept)
        return [pairs[index] for index in kept]

    def _far(self, pairs: Sequence[Pair], apart: float, loaded: dict[ImageRef, np.ndarray]) -> list[int]:
        """Every other pixel of every other row is compared: enough to measure a mean of absolute differences."""
        kept: list[int] = []
        seen: dict[ImageRef, np.ndarray] = {}
        near: set[ImageRef] = set()
        for index, pair in enumerate(pairs):
            ref = pair.right.image
            if ref is not None and ref not in seen and ref not in near:
                pixels = self._make(ref, loaded)[::2, ::2].astype(np.int16).ravel()
                others = np.array([*seen.values()])
                if seen and np.abs(others - pixels).sum(axis=1, dtype=np.int32).min() < apart * len(pixels):
                    near.add(ref)
                else:
                    seen[ref] = pixels
            if ref not in near:
                kept.append(index)
        return kept


def right_key(pair: Pair) -> str:
    """Hex, equal for equal right-hand Inputs."""
    return pair.right.key[: 2 * KEY_BYTES]
