"""What image tokenizers give: a code for each part of a picture, and with some of them a vector for each part too.

Shapes: B pictures, N parts of a picture, C channels of a vector.
All have `variant` and `encode_ids(pixels) -> int64 [B, N]`; those with vectors are `VectorTokenizer`s as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

VECTOR_DTYPE = torch.float16


@dataclass(frozen=True)
class ImageTokens:
    """`ids` int64 [B, N], without the vocabulary's offset; `vectors` float16 [B, N, C], or None where ids are all.

    Vectors are rounded to float16 wherever they come from, so that a cache of them changes no number.
    """

    ids: Tensor
    vectors: Tensor | None = None


@runtime_checkable
class VectorTokenizer(Protocol):
    """A frozen image tokenizer that gives vectors beside ids."""

    def encode(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Ids int64 [B, N] and vectors float [B, N, C] of float pixels [B, 3, S, S] in 0..1."""
        ...
