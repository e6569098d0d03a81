"""Image to a grid of codes: the encoder and quantiser of LlamaGen's VQ-16 (arXiv 2406.06525) and of IBQ (2412.02692).

Shapes: B batch, H, W pixels or cells, N cells in raster order, C code channels, K codes, D channels of a level.
Keys as in LlamaGen's published state dict; IBQ's, which has the same blocks under other names, go through `ibq_name`.
The decoders draw pixels, which embedding never needs (see `llamagen_vq_layout`).
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.model.transformer import Embedding
from fuselip.model.vq_sizes import VQVariant

GROUPS, EPS = 32, 1e-6
MAX_SCORES = 1 << 26  # rows x codes looked at together: 256 MB; 262,144 codes times 1,024 cells would take 1 GB


class VQEncoder(nn.Module):
    """Pixels to codes and their vectors."""

    def __init__(self, variant: VQVariant) -> None:
        super().__init__()
        self.variant = variant
        self.encoder = Encoder(variant)
        self.quantize = Codebook(variant)
        self.quant_conv = nn.Conv2d(variant.latent_dim, variant.code_dim, 1)

    def encode_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Codes int64 [B, N] of float pixels [B, 3, S, S] in 0..1, in raster order."""
        return self.quantize(self.latents(pixels_BCHW))

    def encode(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Codes int64 [B, N] and their vectors float32 [B, N, C]."""
        ids_BN = self.encode_ids(pixels_BCHW)
        return ids_BN, self.quantize.vectors(ids_BN)

    def latents(self, pixels_BCHW: Tensor) -> Tensor:
        """What is quantised: [B, N, C], before any normalisation. The network looks at pixels in -1..1."""
        side = self.variant.side
        assert pixels_BCHW.shape[1:] == (3, side, side), pixels_BCHW.shape
        return self.quant_conv(self.encoder(2 * pixels_BCHW - 1)).flatten(2).mT


class Codebook(nn.Module):
    """The table of codes and which of them is nearest, always in fp32."""

    def __init__(self, variant: VQVariant) -> None:
        super().__init__()
        self.nearest = variant.nearest
        self.embedding = Embedding(variant.num_codes, variant.code_dim)

    def forward(self, z_BNC: Tensor) -> Tensor:
        """Codes int64 [B, N] of latents [B, N, C].

        "cosine" is what the smallest distance between unit vectors comes to.
        """
        with torch.autocast(z_BNC.device.type, enabled=False):
            table_KC, rows = self._table(), z_BNC.float().flatten(0, 1)
            if self.nearest == "cosine":
                rows = F.normalize(rows, dim=-1)
            parts = rows.split(max(1, MAX_SCORES // len(table_KC)))
            return torch.cat([(part @ table_KC.T).argmax(dim=1) for part in parts]).view(z_BNC.shape[:2])

    def vectors(self, ids_BN: Tensor) -> Tensor:
        """The vectors float32 [..., C] of codes [...]; of unit length where these are looked up by angle."""
        found: Tensor = self.embedding(ids_BN).float()
        return F.normalize(found, dim=-1) if self.nearest == "cosine" else found

    def _table(self) -> Tensor:
        table_KC = self.embedding.weight.float()
        return F.normalize(table_KC, dim=-1) if self.nearest == "cosine" else table_KC


class Encoder(nn.Module):
    """Levels of residual blocks, each but the last followed by a halving; attention at the deepest."""

    def __init__(self, variant: VQVariant) -> None:
        super().__init__()
        widths = [variant.width * multiple for multiple in variant.multipliers]
        self.conv_in = nn.Conv2d(3, variant.width, 3, padding=1)
        befores = [variant.width, *widths[:-1]]
        last = len(widths) - 1
        self.conv_blocks = nn.ModuleList(
            Level(
                before,
                width,
                variant.depth,
                attends=level == last,
                resample=None if level == last else ("downsample", Downsample(width)),
            )
            for level, (before, width) in enumerate(zip(befores, widths, strict=True))
        )
        self.mid = middle(widths[-1])
        self.norm_out = norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], variant.latent_dim, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """[B, 3, S, S] to [B, Z, S / patch, S / patch]."""
        x_BDHW = self.conv_in(x_BCHW)
        for block in (*self.conv_blocks, *self.mid):
            x_BDHW = block(x_BDHW)
        return self.conv_out(F.silu(self.norm_out(x_BDHW)))


class Level(nn.Module):
    """Residual blocks at one resolution, with attention after each where it attends, then a change of resolution."""

    def __init__(
        self, before: int, width: int, depth: int, *, attends: bool, resample: tuple[str, nn.Module] | None
    ) -> None:
        super().__init__()
        self.res = nn.ModuleList(ResBlock(before if index == 0 else width, width) for index in range(depth))
        self.attn = nn.ModuleList(AttnBlock(width) for _ in range(depth if attends else 0))
        self.resample = "" if resample is None else resample[0]
        if resample is not None:
            self.add_module(*resample)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        for index, block in enumerate(self.res):
            x_BDHW = block(x_BDHW)
            if len(self.attn):
                x_BDHW = self.attn[index](x_BDHW)
        return self.get_submodule(self.resample)(x_BDHW) if self.resample else x_BDHW


class ResBlock(nn.Module):
    """x + two 3x3 convolutions, each after norm and swish."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(before), nn.Conv2d(before, width, 3, padding=1)
        self.norm2, self.conv2 = norm(width), nn.Conv2d(width, width, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(before, width, 1) if before != width else None

    def forward(self, x_BDHW: Tensor) -> Tensor:
        h_BDHW = self.conv1(F.silu(self.norm1(x_BDHW)))
        h_BDHW = self.conv2(F.silu(self.norm2(h_BDHW)))
        return h_BDHW + (x_BDHW if self.nin_shortcut is None else self.nin_shortcut(x_BDHW))


class AttnBlock(nn.Module):
    """x + attention of one head over all cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x_BDHW: Tensor) -> Tensor:
        h_BDHW = self.norm(x_BDHW)
        q, k, v = (each(h_BDHW).flatten(2).mT.unsqueeze(1) for each in (self.q, self.k, self.v))
        mixed_BND = F.scaled_dot_product_attention(q, k, v).squeeze(1)
        return x_BDHW + self.proj_out(mixed_BND.mT.unflatten(2, x_BDHW.shape[2:]))


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2, padded at the right and at the bottom alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        return self.conv(F.pad(x_BDHW, (0, 1, 0, 1)))


def middle(width: int) -> nn.ModuleList:
    """What stands at the deepest resolution between encoder levels and output, or input and decoder levels."""
    return nn.ModuleList([ResBlock(width, width), AttnBlock(width), ResBlock(width, width)])


def norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, width, eps=EPS)


_IBQ_NAMES = (
    (re.compile(r"^encoder\.down\.(\d+)\.block\."), r"encoder.conv_blocks.\1.res."),
    (re.compile(r"^encoder\.down\.(\d+)\."), r"encoder.conv_blocks.\1."),
    (re.compile(r"^encoder\.mid\.block_1\."), "encoder.mid.0."),
    (re.compile(r"^encoder\.mid\.attn_1\."), "encoder.mid.1."),
    (re.compile(r"^encoder\.mid\.block_2\."), "encoder.mid.2."),
)


def ibq_name(name: str) -> str:
    """Our name of an encoder's tensor by the one that IBQ's files (taming-transformers' layout) give it."""
    for pattern, ours in _IBQ_NAMES:
        name = pattern.sub(ours, name)
    return name
