"""A Piece: one group ready for a batch, as plain arrays. What workers hand over. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

NO_IMAGE = -1
KEY_BYTES = 16

Address = tuple[int, int, int, int]
"""(part, epoch, number of the item, which of its groups): enough to make the piece again."""


@dataclass(frozen=True)
class SidePiece:
    """One side of P pairs with m distinct images.

    `texts`: token ids int32 [SOT .. EOT] of each pair. `rows` int64 [P]: which image, -1 for none. `keys`: 32 bytes an
    image. `codes` int32 [m, K] or None; where a row's first code is -1 it is not known yet. `pixels` uint8
    [m, S, S, 3], or None where all codes are known.
    """

    texts: tuple[np.ndarray, ...]
    rows: np.ndarray
    keys: tuple[bytes, ...]
    codes: np.ndarray | None
    pixels: np.ndarray | None

    def take(self, chosen: Sequence[int]) -> SidePiece:
        """The chosen pairs, with the images they use."""
        rows = self.rows[list(chosen)]
        used = np.unique(rows[rows >= 0])
        number = np.full(len(self.keys) + 1, NO_IMAGE, np.int64)
        number[used] = np.arange(len(used))
        return SidePiece(
            tuple(self.texts[index] for index in chosen),
            number[rows],  # the last place of `number` stands for no image
            tuple(self.keys[index] for index in used),
            None if self.codes is None else self.codes[used],
            None if self.pixels is None else self.pixels[used],
        )


@dataclass(frozen=True)
class Piece:
    """One group of P pairs. `right_keys`: hex, equal for right-hand Inputs that are equal."""

    left: SidePiece
    right: SidePiece
    right_keys: tuple[str, ...]
    address: Address = (0, 0, 0, 0)

    def __len__(self) -> int:
        return len(self.right_keys)

    def take(self, chosen: Sequence[int]) -> Piece:
        """The chosen pairs, in that order."""
        keys = tuple(self.right_keys[index] for index in chosen)
        return replace(self, left=self.left.take(chosen), right=self.right.take(chosen), right_keys=keys)


def drawn(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """`wanted` of `count` pairs, in their order."""
    return sorted(rng.choice(count, wanted, replace=False).tolist())
