"""A picture's patches as they are: an image tokenizer without codes, and without a number that was learned.

Shapes: B pictures, N patches, C channels, those of a patch's pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fuselip.model.image_variants import PatchVariant
from fuselip.model.transformer import patches

CENTRE, STD = 0.5, 0.25  # of pixels in 0..1, about: vectors are near unit scale, as normalised ones of others are


class PatchTokenizer(nn.Module):
    """Vectors alone; every patch has the same id, which says no more than that a part of a picture stands here."""

    def __init__(self, variant: PatchVariant) -> None:
        super().__init__()
        self.variant = variant

    def encode(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros int64 [B, N], and the patches row by row, channel first, float [B, N, C] in -2..2."""
        side = self.variant.patch
        return self.encode_ids(pixels_BCHW), (patches(pixels_BCHW, side, side) - CENTRE) / STD

    def encode_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Zeros int64 [B, N]."""
        return torch.zeros(len(pixels_BCHW), self.variant.num_latents, dtype=torch.int64, device=pixels_BCHW.device)
