"""Semantic vectors of a small model of ours: the patches of a late-fusion image tower, beside a grid's codes.

Shapes: B pictures, N patches, D width of the tower, C channels (D as well).
The stand-in for TokLIP's features on small machines: patches and codes cover the same parts of a picture, row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fuselip.model.grid_tokenizer import GridEncoder
from fuselip.model.image_variants import FeatureVariant
from fuselip.model.late_fusion import ImageTower
from fuselip.model.sizes import TOWERS


class FeatureTokenizer(nn.Module):
    """`tower` has the keys that it has in a checkpoint under `model.visual.`; `codes` those of a grid's encoder."""

    def __init__(self, variant: FeatureVariant) -> None:
        super().__init__()
        assert variant.grid is None or variant.grid.num_latents == variant.num_latents, "a code for each patch"
        self.variant = variant
        self.codes = GridEncoder(variant.grid) if variant.grid else None
        self.tower = ImageTower(TOWERS[variant.towers])

    def encode(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Codes int64 [B, N], and the tower's last states at the patches, after its norm, float [B, N, D]."""
        return self.encode_ids(pixels_BCHW), self.tower.patch_states(pixels_BCHW)

    def encode_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Those codes; 0 everywhere where the variant has no grid."""
        if self.codes is None:
            return torch.zeros(len(pixels_BCHW), self.variant.num_latents, dtype=torch.int64, device=pixels_BCHW.device)
        return self.codes.encode_ids(pixels_BCHW)
