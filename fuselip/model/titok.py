"""Image to 32..256 codes: the encoder and quantiser of TiTok (arXiv 2406.07550); the decoder is not needed.

Shapes: B batch, C channels, P patches, L latent tokens, D width, E code width, N codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.model.sizes import IMAGE_SIZE, NUM_PATCHES, PATCH_SIZE, TiTokVariant
from fuselip.model.transformer import Block, Conv, Embedding, patches


class TiTokEncoder(nn.Module):
    """TiTok with the keys of its published state dict: latent_tokens, encoder.*, quantize.embedding.weight."""

    def __init__(self, variant: TiTokVariant) -> None:
        super().__init__()
        self.variant = variant
        self.latent_tokens = nn.Parameter(torch.empty(variant.num_latents, variant.size.width))
        self.encoder = _Encoder(variant)
        self.quantize = _Quantiser(variant)

    def encode_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Codes int64 [B, L] of float pixels [B, 3, 256, 256] in 0..1 (no mean and no deviation is applied)."""
        return self.quantize(self.latents(pixels_BCHW))

    def latents(self, pixels_BCHW: Tensor) -> Tensor:
        """What is quantised: float32 [B, L, E], before any normalisation."""
        return self.encoder(pixels_BCHW, self.latent_tokens)


class _Quantiser(nn.Module):
    def __init__(self, variant: TiTokVariant) -> None:
        super().__init__()
        self.normalise = variant.normalise
        self.embedding = Embedding(variant.num_codes, variant.code_dim)

    def forward(self, z_BLE: Tensor) -> Tensor:
        """Index of the nearest codebook row by squared distance, always in fp32: int64 [B, L].

        |z|^2 is the same for every code and left out, which also keeps its rounding out of the comparison.
        """
        with torch.autocast(z_BLE.device.type, enabled=False):
            codes_NE, z = self.embedding.weight.float(), z_BLE.float().flatten(0, 1)
            if self.normalise:
                codes_NE, z = F.normalize(codes_NE, dim=-1), F.normalize(z, dim=-1)
            distance = torch.addmm(codes_NE.square().sum(1), z, codes_NE.T, alpha=-2)
            return distance.argmin(dim=1).view(z_BLE.shape[:2])


class _Encoder(nn.Module):
    def __init__(self, variant: TiTokVariant) -> None:
        super().__init__()
        width = variant.size.width
        self.legacy = variant.legacy
        self.class_embedding = nn.Parameter(torch.empty(1, width))
        self.positional_embedding = nn.Parameter(torch.empty(NUM_PATCHES + 1, width))
        self.latent_token_positional_embedding = nn.Parameter(torch.empty(variant.num_latents, width))
        self.patch_embed = Conv(3, width, PATCH_SIZE)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = nn.ModuleList(Block(variant.size) for _ in range(variant.size.layers))
        self.ln_post = nn.LayerNorm(width)
        self.conv_out = Conv(width, variant.code_dim, 1)

    def forward(self, pixels_BCHW: Tensor, latent_tokens_LD: Tensor) -> Tensor:
        """z [B, L, E]."""
        assert pixels_BCHW.shape[1:] == (3, IMAGE_SIZE, IMAGE_SIZE), pixels_BCHW.shape
        patches_BPD = self.patch_embed(patches(pixels_BCHW)) + self.positional_embedding[1:]
        batch = len(patches_BPD)
        first_1D = self.class_embedding + self.positional_embedding[:1]
        latents_LD = latent_tokens_LD + self.latent_token_positional_embedding
        x = torch.cat([first_1D.expand(batch, -1, -1), patches_BPD, latents_LD.expand(batch, -1, -1)], dim=1)
        x = self.ln_pre(x)
        for block in self.transformer[:-1]:
            x = block(x)
        latents_BLD = self.transformer[-1](x, rows_BQD=x[:, -len(latents_LD) :])
        return self._project(self.ln_post(latents_BLD))

    def _project(self, x_BLD: Tensor) -> Tensor:
        """The 1x1 convolution from D to E.

        The legacy encoders read the memory of [B, L, D] as if it were [B, D, L]. Their weights were trained that way,
        so every code mixes slices of all latents, and a "corrected" transpose would give other codes.
        """
        if self.legacy:
            batch, latents, width = x_BLD.shape
            x_BLD = x_BLD.reshape(batch, width, latents).transpose(1, 2)
        return self.conv_out(x_BLD)
