"""The image tokenizer's conventions, against plain formulas written another way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from name_seeded import name_seeded_titok
from torch import Tensor
from torch.nn import functional as F

from fuselip.model.configs import FuseLIPConfig
from fuselip.model.titok import TiTokEncoder


def latents_by_modules(model: TiTokEncoder, pixels: Tensor, heads: int, legacy: bool) -> Tensor:
    """The encoder step by step with torch's convolutions and attention, every token through every block."""
    encoder = model.encoder
    patches = F.conv2d(pixels, encoder.patch_embed.weight, encoder.patch_embed.bias, stride=16).flatten(2).mT
    batch = len(patches)
    x = torch.cat([encoder.class_embedding.expand(batch, 1, -1), patches], 1) + encoder.positional_embedding
    latents = model.latent_tokens + encoder.latent_token_positional_embedding
    x = encoder.ln_pre(torch.cat([x, latents.expand(batch, -1, -1)], 1))
    for block in encoder.transformer:
        h = block.ln_1(x)
        attn = block.attn
        x = x + F.multi_head_attention_forward(
            h.mT.permute(2, 0, 1), h.mT.permute(2, 0, 1), h.mT.permute(2, 0, 1), h.shape[-1], heads,
            attn.in_proj_weight, attn.in_proj_bias, None, None, False, 0.0,
            attn.out_proj.weight, attn.out_proj.bias, need_weights=False,
        )[0].transpose(0, 1)  # fmt: skip
        h = F.gelu(F.linear(block.ln_2(x), block.mlp.c_fc.weight, block.mlp.c_fc.bias))
        x = x + F.linear(h, block.mlp.c_proj.weight, block.mlp.c_proj.bias)
    x = encoder.ln_post(x[:, 257:])
    count, width = x.shape[1:]
    grid = x.reshape(batch, width, count, 1) if legacy else x.permute(0, 2, 1).unsqueeze(-1)
    return F.conv2d(grid, encoder.conv_out.weight, encoder.conv_out.bias).squeeze(-1).mT


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
def test_against_plain_modules(tiny_config: FuseLIPConfig, legacy: bool, normalise: bool) -> None:
    variant = replace(tiny_config.variant, legacy=legacy, normalise=normalise)
    model = name_seeded_titok(variant)
    pixels = torch.rand(3, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = latents_by_modules(model, pixels, variant.size.heads, legacy)
        torch.testing.assert_close(model.latents(pixels), wanted, atol=1e-5, rtol=1e-5)
        codes, z = model.quantize.embedding.weight, wanted
        if normalise:
            codes, z = codes / codes.norm(dim=1, keepdim=True), z / z.norm(dim=-1, keepdim=True)
        nearest = torch.cdist(z.double(), codes.double()[None]).argmin(-1)
        assert torch.equal(model.encode_ids(pixels), nearest)


def test_with_and_without_gradients(tiny_config: FuseLIPConfig) -> None:
    """Gradients switch the fused CPU kernels off; the numbers must not notice."""
    model = name_seeded_titok(tiny_config.variant)
    pixels = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        fused = model.latents(pixels)
    plain = model.latents(pixels)
    assert plain.requires_grad
    torch.testing.assert_close(fused, plain.detach(), atol=1e-5, rtol=1e-5)
