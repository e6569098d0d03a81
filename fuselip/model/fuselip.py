"""FuseLIP: one transformer over image codes and text tokens (arXiv 2506.03096); token ids in, embeddings out.

Shapes: B batch, T tokens, D width, V vocabulary. Keys as in the official state dicts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fuselip.model.configs import FuseLIPConfig
from fuselip.model.grid_tokenizer import GridEncoder
from fuselip.model.linear import linear
from fuselip.model.sizes import GridVariant
from fuselip.model.titok import TiTokEncoder
from fuselip.model.tokens import key_mask
from fuselip.model.transformer import Blocks, Embedding, Linear


class FuseLIP(nn.Module):
    """The model with its image tokenizer. Sequences are [image ids, SOT, text ids, EOT]; positions count from 0."""

    def __init__(self, config: FuseLIPConfig) -> None:
        super().__init__()
        self.config = config
        size = config.size
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, size.width))
        self.logit_scale = nn.Parameter(torch.empty(()))
        self.logit_bias = nn.Parameter(torch.empty(()))
        self.image_tokenizer = _ImageTokenizer(config)
        self.transformer = Blocks(config.size)
        self.token_embedding = Embedding(config.vocab_size, size.width)
        self.ln_final = nn.LayerNorm(size.width)
        if config.mask_token:
            self.mask_prediction_head = MaskPredictionHead(config)
            self.tie()

    @property
    def tokenizer(self) -> TiTokEncoder | GridEncoder:
        """The frozen image tokenizer."""
        return self.image_tokenizer.model

    def tie(self) -> None:
        """Make the prediction head's decoder and the token embedding one tensor (again, after loading)."""
        if self.config.mask_token:
            self.mask_prediction_head.decoder.weight = self.token_embedding.weight

    def image_codes(self, pixels_BCHW: Tensor) -> Tensor:
        """Codes int64 [B, K] of float pixels [B, 3, S, S] in 0..1."""
        return self.tokenizer.encode_ids(pixels_BCHW)

    def image_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Those codes as token ids."""
        return self.image_codes(pixels_BCHW) + self.config.image_offset

    def hidden(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Hidden states [B, T, D] before the final norm (where the prediction head reads them)."""
        return self.transformer(*self._embed(ids_BT, lengths_B))

    def embed(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """The state at each sequence's last token (its EOT) after the final norm: [B, D], not normalised.

        The same numbers as pooling `hidden`, with the last block computed for that token alone.
        """
        x_BTD, mask = self._embed(ids_BT, lengths_B)
        return self.ln_final(self.transformer.row(x_BTD, lengths_B - 1, mask))

    def _embed(self, ids_BT: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor | None]:
        """Token plus position embeddings, and the attention mask, or None where every key may be seen."""
        mask = key_mask(ids_BT, lengths_B, self.config.padding)
        return self.token_embedding(ids_BT) + self.positional_embedding[: ids_BT.shape[1]], mask


class _ImageTokenizer(nn.Module):
    """The frozen image tokenizer, under the key it has in the official checkpoints."""

    def __init__(self, config: FuseLIPConfig) -> None:
        super().__init__()
        variant = config.variant
        model = GridEncoder(variant) if isinstance(variant, GridVariant) else TiTokEncoder(variant)
        self.model = model.requires_grad_(False)


class MaskPredictionHead(nn.Module):
    """Predicts masked tokens from hidden states; its decoder is the token embedding (arXiv 2506.03096)."""

    def __init__(self, config: FuseLIPConfig) -> None:
        super().__init__()
        width = config.size.width
        self.bias = nn.Parameter(torch.empty(config.vocab_size))
        self.dense = Linear(width, width)
        self.layer_norm = nn.LayerNorm(width)
        self.decoder = Embedding(config.vocab_size, width)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Logits [..., V] over text, [MASK] and image tokens."""
        return linear(self.layer_norm(self.dense(x_BD, gelu=True)), self.decoder.weight, self.bias)
