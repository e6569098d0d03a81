"""FuseLIP: one transformer over image codes and text tokens (arXiv 2506.03096); token ids in, embeddings out.

Shapes: B batch, T tokens, K image tokens, C channels of an image vector, D width, V vocabulary. Keys as in the official
state dicts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fuselip.core.errors import UserError
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.grid_tokenizer import GridEncoder
from fuselip.model.image_tokens import VECTOR_DTYPE, ImageTokens, VectorTokenizer
from fuselip.model.image_variants import FeatureVariant, ImageVariant, PatchVariant, TokLIPVariant
from fuselip.model.linear import linear
from fuselip.model.llamagen_vq import VQEncoder
from fuselip.model.patch_features import FeatureTokenizer
from fuselip.model.raw_patches import PatchTokenizer
from fuselip.model.sizes import GridVariant, TiTokVariant
from fuselip.model.titok import TiTokEncoder
from fuselip.model.tokens import apart_mask, key_mask
from fuselip.model.toklip_tokens import TokLIPTokenizer
from fuselip.model.transformer import Blocks, Embedding, Linear
from fuselip.model.vq_sizes import VQVariant

Tokenizer = TiTokEncoder | GridEncoder | VQEncoder | FeatureTokenizer | PatchTokenizer | TokLIPTokenizer


class FuseLIP(nn.Module):
    """The model with its image tokenizer. Sequences are [image ids, SOT, text ids, EOT]; positions count from 0.

    Where `config.image_features` asks for vectors, those of a sequence's picture come beside its ids, which then say
    where a picture is (and are what is guessed of hidden tokens); see `hidden`.
    """

    def __init__(self, config: FuseLIPConfig) -> None:
        super().__init__()
        self.config = config
        size = config.size
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, size.width))
        self.logit_scale = nn.Parameter(torch.empty(()))
        self.logit_bias = nn.Parameter(torch.empty(()))
        self.image_tokenizer = _ImageTokenizer(config)
        self.transformer = Blocks(config.size, join=config.join)
        self.token_embedding = Embedding(config.vocab_size, size.width)
        self.ln_final = nn.LayerNorm(size.width)
        if config.vector_dim:
            self.image_projection = ImageProjection(config)
        if config.mask_token:
            self.mask_prediction_head = MaskPredictionHead(config)
            self.tie()

    @property
    def tokenizer(self) -> Tokenizer:
        """The frozen image tokenizer."""
        return self.image_tokenizer.model

    def tie(self) -> None:
        """Make the prediction head's decoder and the token embedding one tensor (again, after loading)."""
        if self.config.mask_token:
            self.mask_prediction_head.decoder.weight = self.token_embedding.weight

    def image_codes(self, pixels_BCHW: Tensor) -> Tensor:
        """Codes int64 [B, K] of float pixels [B, 3, S, S] in 0..1."""
        return self.tokenizer.encode_ids(pixels_BCHW)[:, : self.config.num_image_tokens]

    def image_tokens(self, pixels_BCHW: Tensor) -> ImageTokens:
        """Those codes, and the vectors [B, K, C] where this model reads them."""
        if not self.config.vector_dim:
            return ImageTokens(self.image_codes(pixels_BCHW))
        assert isinstance(self.tokenizer, VectorTokenizer), "the configuration was checked"
        codes_BN, vectors_BNC = self.tokenizer.encode(pixels_BCHW)
        count = self.config.num_image_tokens
        return ImageTokens(codes_BN[:, :count], vectors_BNC[:, :count].to(VECTOR_DTYPE))

    def image_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Those codes as token ids."""
        return self.image_codes(pixels_BCHW) + self.config.image_offset

    def hidden(
        self, ids_BT: Tensor, lengths_B: Tensor, vectors_BKC: Tensor | None = None, image_BT: Tensor | None = None
    ) -> Tensor:
        """Hidden states [B, T, D] before the final norm (where the prediction head reads them).

        `vectors`: those of each sequence's picture, any numbers where it has none. They stand at image ids alone: where
        an id was replaced by [MASK], its vector is hidden as well. Raises UserError where they are missing.
        `image`: which tokens are a picture's, hidden ones too; without it, those with image ids. Only a model with
        `config.join` asks.
        """
        return self.transformer(*self._embed(ids_BT, lengths_B, vectors_BKC, image_BT))

    def embed(self, ids_BT: Tensor, lengths_B: Tensor, vectors_BKC: Tensor | None = None) -> Tensor:
        """The state at each sequence's last token (its EOT) after the final norm: [B, D], not normalised.

        The same numbers as pooling `hidden`, with the last block computed for that token alone.
        """
        x_BTD, mask, apart = self._embed(ids_BT, lengths_B, vectors_BKC, None)
        return self.ln_final(self.transformer.row(x_BTD, lengths_B - 1, mask, apart))

    def _embed(
        self, ids_BT: Tensor, lengths_B: Tensor, vectors_BKC: Tensor | None, image_BT: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Token plus position embeddings; the attention mask, or None where every key may be seen; and the mask of
        the blocks before `config.join`, or None where there are none.
        """
        mask = key_mask(ids_BT, lengths_B, self.config.padding)
        tokens_BTD = self.token_embedding(ids_BT)
        if self.config.vector_dim:
            tokens_BTD = self._with_vectors(tokens_BTD, ids_BT, vectors_BKC)
        apart = None
        if self.config.join:
            apart = apart_mask(ids_BT >= self.config.image_offset if image_BT is None else image_BT, mask)
        return tokens_BTD + self.positional_embedding[: ids_BT.shape[1]], mask, apart

    def _with_vectors(self, tokens_BTD: Tensor, ids_BT: Tensor, vectors_BKC: Tensor | None) -> Tensor:
        """Projected vectors in place of the embeddings of image ids, or added to them."""
        image_BT = ids_BT >= self.config.image_offset
        if vectors_BKC is None:
            if bool(image_BT.any()):
                raise UserError(
                    "these sequences hold image ids without vectors, and this model reads vectors of "
                    f"{self.config.image_tokenizer}: pass those that image_tokens gives"
                )
            return tokens_BTD
        wanted = (len(ids_BT), self.config.num_image_tokens, self.config.vector_dim)
        if vectors_BKC.shape != wanted:
            raise UserError(
                f"image vectors of another tokenizer: {tuple(vectors_BKC.shape)}, and {self.config.image_tokenizer} "
                f"gives {wanted} (sequences, tokens, channels)"
            )
        width = min(wanted[1], ids_BT.shape[1])
        projected_BKD = self.image_projection(vectors_BKC[:, :width])
        if self.config.image_features == "both":
            projected_BKD = projected_BKD + tokens_BTD[:, :width]
        image_BK1 = image_BT[:, :width, None]
        return torch.cat([torch.where(image_BK1, projected_BKD, tokens_BTD[:, :width]), tokens_BTD[:, width:]], dim=1)


class _ImageTokenizer(nn.Module):
    """The frozen image tokenizer, under the key it has in the official checkpoints."""

    def __init__(self, config: FuseLIPConfig) -> None:
        super().__init__()
        self.model = _tokenizer_of(config.variant).requires_grad_(False)


def _tokenizer_of(variant: ImageVariant) -> Tokenizer:
    match variant:
        case TiTokVariant():
            return TiTokEncoder(variant)
        case GridVariant():
            return GridEncoder(variant)
        case VQVariant():
            return VQEncoder(variant)
        case FeatureVariant():
            return FeatureTokenizer(variant)
        case PatchVariant():
            return PatchTokenizer(variant)
        case TokLIPVariant():
            return TokLIPTokenizer(variant)


class ImageProjection(nn.Module):
    """Vectors of the image tokenizer, whatever their scale (pixels as they are), as token embeddings."""

    def __init__(self, config: FuseLIPConfig) -> None:
        super().__init__()
        # A norm would take from a patch of pixels how bright it is and how strong its contrast.
        self.ln = nn.Identity() if isinstance(config.variant, PatchVariant) else nn.LayerNorm(config.vector_dim)
        self.proj = Linear(config.vector_dim, config.size.width)

    def forward(self, vectors_BKC: Tensor) -> Tensor:
        """[B, K, C] to [B, K, D]."""
        return self.proj(self.ln(vectors_BKC.float()))


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
