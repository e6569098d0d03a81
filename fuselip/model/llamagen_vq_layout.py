"""The VQ tokenizer as it is published: encoder and quantiser with the decoder that draws pixels from codes.

Models hold `llamagen_vq.VQEncoder` alone; this is for listing a published file's tensors, and for looking at codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.model.llamagen_vq import Level, VQEncoder, middle, norm
from fuselip.model.vq_sizes import VQVariant

USED = 65536  # how many of the last codes LlamaGen's training kept, to tell how much of the codebook is in use


class VQModel(VQEncoder):
    """The keys of LlamaGen's published state dict; IBQ's has the same blocks under other names, and no `USED`."""

    def __init__(self, variant: VQVariant) -> None:
        super().__init__(variant)
        self.decoder = Decoder(variant)
        self.post_quant_conv = nn.Conv2d(variant.code_dim, variant.latent_dim, 1)
        if variant.nearest == "cosine":
            self.quantize.register_buffer("codebook_used", torch.empty(USED))

    def reconstruct(self, ids_BN: Tensor) -> Tensor:
        """Pixels in 0..1 [B, 3, S, S] of codes [B, N]."""
        cells = self.quantize.vectors(ids_BN).mT.unflatten(2, self.variant.grid)
        return ((self.decoder(self.post_quant_conv(cells)) + 1) / 2).clamp(0, 1)


class Decoder(nn.Module):
    """The encoder's levels backwards, with one residual block more in each."""

    def __init__(self, variant: VQVariant) -> None:
        super().__init__()
        widths = [variant.width * multiple for multiple in reversed(variant.multipliers)]
        self.conv_in = nn.Conv2d(variant.latent_dim, widths[0], 3, padding=1)
        self.mid = middle(widths[0])
        last = len(widths) - 1
        self.conv_blocks = nn.ModuleList(
            Level(
                before,
                width,
                variant.depth + 1,
                attends=level == 0,
                resample=None if level == last else ("upsample", Upsample(width)),
            )
            for level, (before, width) in enumerate(zip([widths[0], *widths[:-1]], widths, strict=True))
        )
        self.norm_out = norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, x_BZHW: Tensor) -> Tensor:
        """[B, Z, S / patch, S / patch] to pixels [B, 3, S, S] in about -1..1."""
        x_BDHW = self.conv_in(x_BZHW)
        for block in (*self.mid, *self.conv_blocks):
            x_BDHW = block(x_BDHW)
        return self.conv_out(F.silu(self.norm_out(x_BDHW)))


class Upsample(nn.Module):
    """Every cell four times, then a 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        return self.conv(F.interpolate(x_BDHW, scale_factor=2.0, mode="nearest"))
