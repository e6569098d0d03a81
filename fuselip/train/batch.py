"""One training batch: two sides of texts and images, as CPU tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Side:
    """One side of a batch of N pairs, with M distinct images.

    `text_ids` int64 [N, T]: [SOT .. EOT], filled up with PAD; `text_lengths` int64 [N].
    `image_rows` int64 [N]: each pair's row in `codes` or `pixels`, -1 for no image.
    `codes` int64 [M, K]: image codes, without the vocabulary's offset; with them, where the training reads
    vectors, `vectors` float16 [M, V, C], V of an image. `pixels` uint8 [M, S, S, 3].
    """

    text_ids: Tensor
    text_lengths: Tensor
    image_rows: Tensor
    codes: Tensor | None = None
    pixels: Tensor | None = None
    vectors: Tensor | None = None

    def __len__(self) -> int:
        return len(self.image_rows)


@dataclass(frozen=True)
class Batch:
    """N pairs. `groups` int64 [N]: the group number of each; `right_keys`: the right-hand sides' content keys."""

    left: Side
    right: Side
    groups: Tensor
    right_keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.left)
