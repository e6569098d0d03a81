"""TokLIP's image tower: code vectors through a projector into a causal vision transformer, pooled by attention.

Shapes: B batch, N codes, C code channels, D width. Keys as in the published state dicts (`visual.trunk`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from fuselip.model.grid_tokenizer import GridEncoder
from fuselip.model.llamagen_vq import VQEncoder
from fuselip.model.llamagen_vq_layout import VQModel
from fuselip.model.toklip_config import PROJECTOR_RATIO, TokLIPConfig, TokLIPSize
from fuselip.model.transformer import Linear, PreNorm
from fuselip.model.vq_sizes import VQVariant

EPS = 1e-6


class Trunk(nn.Module):
    """Pixels to an image feature. `checkpointing`: blocks are computed again for gradients, which saves memory."""

    vq: VQEncoder | GridEncoder

    def __init__(self, config: TokLIPConfig, *, whole: bool) -> None:
        super().__init__()
        size, variant = config.size, config.variant
        width = size.tower.width
        self.checkpointing = False
        self.pos_embed = nn.Parameter(torch.empty(1, config.num_image_tokens, width))
        self.blocks = nn.ModuleList(VisionBlock(size) for _ in range(size.tower.layers))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.attn_pool = AttentionPool(size)
        if isinstance(variant, VQVariant):
            self.vq = VQModel(variant) if whole else VQEncoder(variant)
        else:
            self.vq = GridEncoder(variant)
        self.vq.requires_grad_(False)
        self.vq_table = Linear(config.code_dim, PROJECTOR_RATIO * width)
        self.vq_mapping = Linear(PROJECTOR_RATIO * width, width)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """The image feature [B, D], not normalised, of float pixels [B, 3, S, S] in 0..1."""
        return self.attn_pool(self.states(self.code_vectors(pixels_BCHW)))

    @torch.no_grad()
    def code_vectors(self, pixels_BCHW: Tensor) -> Tensor:
        """The vectors [B, N, C] of a picture's codes in raster order. The tokenizer is frozen."""
        return self.vq.quantize.vectors(self.vq.encode_ids(pixels_BCHW))

    def states(self, vectors_BNC: Tensor) -> Tensor:
        """The last states [B, N, D] after the norm: TokLIP's semantic tokens. Each sees codes up to its own alone."""
        x_BND = self.vq_mapping(self.vq_table(vectors_BNC, gelu=True)) + self.pos_embed
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x_BND = checkpoint(block, x_BND, use_reentrant=False)
            else:
                x_BND = block(x_BND)
        return self.norm(x_BND)


class VisionBlock(PreNorm):
    """x + attention(norm(x)), then x + MLP(norm(x)). TokLIP's attention is causal, its teacher's is not."""

    attn: VisionAttention

    def __init__(self, size: TokLIPSize, *, causal: bool = True) -> None:
        super().__init__()
        width = size.tower.width
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = VisionAttention(size, causal=causal)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = VisionMLP(width, size.hidden)

    def forward(self, x_BND: Tensor) -> Tensor:
        dtype = self.attn.qkv.weight.dtype
        x_BND = self.attn(self.norm1(x_BND).to(dtype), x_BND)
        return self.mlp(self.norm2(x_BND).to(dtype), x_BND)


class VisionAttention(nn.Module):
    """Multi-head attention; `causal`: no token sees a later one. The mask is the kernel's own, on every path."""

    def __init__(self, size: TokLIPSize, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        width, self.heads = size.tower.width, size.tower.heads
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)

    def forward(self, x_BND: Tensor, residual_BND: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x_BND).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(mixed.transpose(1, 2).flatten(2), residual=residual_BND)


class VisionMLP(nn.Module):
    """Two linear layers with the tanh form of GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"), residual=residual)


class AttentionPool(nn.Module):
    """One learned query over all tokens, then x + MLP(norm(x)): SigLIP's pooling head. It sees every token."""

    def __init__(self, size: TokLIPSize) -> None:
        super().__init__()
        width, self.heads = size.tower.width, size.tower.heads
        self.latent = nn.Parameter(torch.empty(1, 1, width))
        self.q = Linear(width, width)
        self.kv = Linear(width, 2 * width)
        self.proj = Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.mlp = VisionMLP(width, size.hidden)

    def forward(self, x_BND: Tensor) -> Tensor:
        """[B, D]."""
        q_1ID = self.q(self.latent)
        parts = (q_1ID.expand(len(x_BND), -1, -1), *self.kv(x_BND).chunk(2, dim=-1))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        x_BID = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return self.mlp(self.norm(x_BID), x_BID).squeeze(1)
