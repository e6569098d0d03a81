"""SigLIP 2's image tower, from which TokLIP is started and which it is distilled from (arXiv 2502.14786, 2505.05422).

Its keys are those of TokLIP's image tower (`visual.trunk`), with pixels embedded by patch in place of code vectors.
Shapes: B batch, N patches, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fuselip.model.toklip_config import TokLIPSize
from fuselip.model.toklip_vision import EPS, AttentionPool, VisionBlock
from fuselip.model.transformer import Conv, patches


class SigLIPTower(nn.Module):
    """As `toklip_vision.Trunk` of that size, bidirectional, with as many patches as TokLIP has codes."""

    def __init__(self, size: TokLIPSize) -> None:
        super().__init__()
        width, count = size.tower.width, size.tokenizer.num_latents
        self.patch = size.tokenizer.side // math.isqrt(count)
        self.patch_embed = _PatchEmbed(width, self.patch)
        self.pos_embed = nn.Parameter(torch.empty(1, count, width))
        self.blocks = nn.ModuleList(VisionBlock(size, causal=False) for _ in range(size.tower.layers))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.attn_pool = AttentionPool(size)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """The image feature [B, D], not normalised, of float pixels [B, 3, S, S] in 0..1."""
        x_BND = self.patch_embed.proj(patches(2 * pixels_BCHW - 1, self.patch, self.patch)) + self.pos_embed
        for block in self.blocks:
            x_BND = block(x_BND)
        return self.attn_pool(self.norm(x_BND))


class _PatchEmbed(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = Conv(3, width, patch)
