"""Our own image tokenizer: every patch becomes one code, looked up with a little of its surroundings.

Shapes: B batch, K patches (codes), D width, E code channels, P pixel values of a patch.
Small enough to train in minutes on a CPU; the same interface as `titok`. Codes stand in raster order, so that a flipped
or rotated picture has (nearly) the same codes in other places, which is what a small transformer can learn from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fuselip.model.bsq import BSQ
from fuselip.model.fsq import FSQ
from fuselip.model.sizes import GridVariant
from fuselip.model.transformer import Linear, patches

KERNEL = 3


class GridEncoder(nn.Module):
    """Pixels to codes; what a checkpoint holds of the tokenizer."""

    def __init__(self, variant: GridVariant) -> None:
        super().__init__()
        self.variant = variant
        self.patch_embed = Linear(3 * variant.patch[0] * variant.patch[1], variant.width)
        self.blocks = nn.ModuleList(_Block(variant, mixes=mixes) for mixes in (False, True))
        self.norm = nn.LayerNorm(variant.width)
        self.project = Linear(variant.width, len(variant.levels))
        self.quantize = FSQ(variant.levels) if variant.quantizer == "fsq" else BSQ(len(variant.levels))

    def encode_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Codes int64 [B, K] of float pixels [B, 3, S, S] in 0..1."""
        return self.quantize.ids(self.latents(pixels_BCHW))

    def latents(self, pixels_BCHW: Tensor) -> Tensor:
        """What is quantised: float32 [B, K, E]."""
        assert pixels_BCHW.shape[1:] == (3, self.variant.side, self.variant.side), pixels_BCHW.shape
        x_BKD = self.patch_embed(patches(pixels_BCHW, *self.variant.patch) * 2 - 1)
        for block in self.blocks:
            x_BKD = block(x_BKD)
        return self.project(self.norm(x_BKD))


class GridDecoder(nn.Module):
    """Codes to pixels; needed for training and measuring only."""

    def __init__(self, variant: GridVariant) -> None:
        super().__init__()
        self.variant = variant
        self.embed = Linear(len(variant.levels), variant.width)
        self.blocks = nn.ModuleList(_Block(variant, mixes=True) for _ in range(variant.decoder_blocks))
        self.norm = nn.LayerNorm(variant.width)
        self.to_pixels = Linear(variant.width, 3 * variant.patch[0] * variant.patch[1])

    def forward(self, codes_BKE: Tensor) -> Tensor:
        """Pixels [B, 3, S, S], about 0..1 (not clamped), of code vectors in -1..1."""
        x_BKD = self.embed(codes_BKE)
        for block in self.blocks:
            x_BKD = block(x_BKD)
        return from_patches((self.to_pixels(self.norm(x_BKD)) + 1) / 2, self.variant)


class GridTokenizer(nn.Module):
    """Encoder and decoder, as `fuselip train-tokenizer` trains and saves them."""

    def __init__(self, variant: GridVariant) -> None:
        super().__init__()
        self.variant = variant
        self.encoder = GridEncoder(variant)
        self.decoder = GridDecoder(variant)

    @torch.no_grad()
    def reconstruct(self, ids_BK: Tensor) -> Tensor:
        """Pixels in 0..1 [B, 3, S, S] of codes."""
        return self.decoder(self.encoder.quantize.vectors(ids_BK)).clamp(0, 1)


class _Block(nn.Module):
    """x + a depthwise convolution over the grid (where it mixes), then x + MLP(norm(x))."""

    def __init__(self, variant: GridVariant, *, mixes: bool) -> None:
        super().__init__()
        self.rows, self.columns = variant.grid
        width = variant.width
        self.mix = nn.Conv2d(width, width, KERNEL, padding=KERNEL // 2, groups=width) if mixes else None
        self.norm = nn.LayerNorm(width)
        self.c_fc = Linear(width, 2 * width)
        self.c_proj = Linear(2 * width, width)

    def forward(self, x_BKD: Tensor) -> Tensor:
        if self.mix is not None:
            grid = x_BKD.mT.unflatten(2, (self.rows, self.columns))
            x_BKD = x_BKD + self.mix(grid).flatten(2).mT
        return self.c_proj(self.c_fc(self.norm(x_BKD), gelu=True), residual=x_BKD)


def from_patches(patches_BKP: Tensor, variant: GridVariant) -> Tensor:
    """The inverse of `patches`."""
    (rows, columns), (height, width) = variant.grid, variant.patch
    x = patches_BKP.reshape(-1, rows, columns, 3, height, width)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(len(x), 3, variant.side, variant.side)
