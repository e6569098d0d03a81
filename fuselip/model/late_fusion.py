"""The paper's late-fusion baselines: an image and a text tower, joined by addition (SF) or a transformer (MLF).

Shapes: B batch, T tokens, P patches, D width of a tower, E width of the embeddings.
Keys as in the paper's code (arXiv 2506.03096): `model.visual`, `model.text` and, for MLF, `fusion_module`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.sizes import (
    MLF_LAYERS,
    Towers,
    TransformerSize,
)
from fuselip.model.tokens import key_mask
from fuselip.model.transformer import Attention, Blocks, Conv, Embedding, patches

# OpenAI CLIP's, for RGB in 0..1.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class LateFusion(nn.Module):
    """Two towers and what joins them. A missing image is a zero row; see `fuse`."""

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Towers(config)
        if config.fusion == "magiclens":
            self.fusion_module = _FusionModule(config.sizes.text)

    def image_embedding(self, pixels_BCHW: Tensor) -> Tensor:
        """The image tower's output [B, E], not normalised, of float pixels [B, 3, S, S] in 0..1."""
        return self.model.visual(pixels_BCHW)

    def text_embedding(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """The text tower's output [B, E], not normalised. `ids` are [SOT, ..., EOT], filled up with PAD.

        It is read at the first EOT; tokens after it (a text may hold a literal "<end_of_text>") are still attended to.
        """
        return self.model.text(ids_BT, lengths_B)

    def fuse(
        self, images_BE: Tensor, texts_BE: Tensor, has_image_B: Tensor | None = None, has_text_B: Tensor | None = None
    ) -> Tensor:
        """One embedding [B, E] for each pair of tower outputs, not normalised.

        `has_image`, `has_text` (bool [B], default: all): rows without one count as zero, whatever they hold. The paper
        passes the empty string's embedding where a text is missing, and a zero text for SF only.
        """
        if has_image_B is not None:
            images_BE = images_BE.masked_fill(~has_image_B[:, None], 0)
        if has_text_B is not None:
            texts_BE = texts_BE.masked_fill(~has_text_B[:, None], 0)
        if self.config.fusion == "add":
            return F.normalize(images_BE, dim=-1) + F.normalize(texts_BE, dim=-1)
        return self.fusion_module(torch.stack([images_BE, texts_BE], dim=1))


class _Towers(nn.Module):
    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.empty(()))
        self.logit_bias = nn.Parameter(torch.empty(()))
        self.visual = ImageTower(config.sizes)
        self.text = _TextTower(config)


class ImageTower(nn.Module):
    """A vision transformer, read at its class token."""

    def __init__(self, towers: Towers) -> None:
        super().__init__()
        size = towers.image
        self.side, self.patch = towers.image_side, towers.patch
        self.class_embedding = nn.Parameter(torch.empty(size.width))
        self.positional_embedding = nn.Parameter(torch.empty(towers.num_patches + 1, size.width))
        self.proj = nn.Parameter(torch.empty(size.width, towers.text.width))
        self.conv1 = Conv(3, size.width, towers.patch, bias=False)
        self.ln_pre = nn.LayerNorm(size.width)
        self.transformer = Blocks(size)
        self.ln_post = nn.LayerNorm(size.width)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """The projected class token [B, E]."""
        return self.ln_post(self.transformer.row(self._embed(pixels_BCHW), 0)) @ self.proj

    def patch_states(self, pixels_BCHW: Tensor) -> Tensor:
        """The last states of the patches after the norm [B, P, D]: what the class token does not pool away."""
        return self.ln_post(self.transformer(self._embed(pixels_BCHW))[:, 1:])

    def _embed(self, pixels_BCHW: Tensor) -> Tensor:
        """The states before the first block [B, 1 + P, D]."""
        assert pixels_BCHW.shape[1:] == (3, self.side, self.side), pixels_BCHW.shape
        mean, std = (pixels_BCHW.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        patches_BPD = self.conv1(patches((pixels_BCHW - mean) / std, self.patch, self.patch))
        first_B1D = self.class_embedding.expand(len(patches_BPD), 1, -1)
        x_BTD: Tensor = self.ln_pre(torch.cat([first_B1D, patches_BPD], dim=1) + self.positional_embedding)
        return x_BTD


class _TextTower(nn.Module):
    """A bidirectional transformer, read at the first EOT."""

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__()
        size = config.sizes.text
        self.padding = config.padding
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, size.width))
        self.text_projection = nn.Parameter(torch.empty(size.width, config.dim))
        self.token_embedding = Embedding(config.num_text_tokens, size.width)
        self.transformer = Blocks(size)
        self.ln_final = nn.LayerNorm(size.width)

    def forward(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        x_BTD = self.token_embedding(ids_BT) + self.positional_embedding[: ids_BT.shape[1]]
        mask = key_mask(ids_BT, lengths_B, self.padding)
        end_B = ids_BT.argmax(dim=1)  # EOT is the largest id, and the first one counts
        return self.ln_final(self.transformer.row(x_BTD, end_B, mask)) @ self.text_projection


class _FusionModule(nn.Module):
    """MLF: blocks over the two tokens [image, text], pooled by one learned query, as MagicLens does."""

    def __init__(self, size: TransformerSize) -> None:
        super().__init__()
        self.transformer = Blocks(replace(size, layers=MLF_LAYERS))
        self.attention_pooler = _AttentionPooler(size)

    def forward(self, x_B2E: Tensor) -> Tensor:
        return self.attention_pooler(self.transformer(x_B2E))


class _AttentionPooler(nn.Module):
    def __init__(self, size: TransformerSize) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, size.width))
        self.attn = Attention(size)
        self.pool_attn_ln = nn.LayerNorm(size.width)

    def forward(self, x_BTE: Tensor) -> Tensor:
        query_B1E = self.query.expand(len(x_BTE), 1, -1)
        return self.pool_attn_ln(self.attn(x_BTE, None, query_B1E, None)).squeeze(1)
