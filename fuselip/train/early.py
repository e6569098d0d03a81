"""FuseLIP's side of the training forward: codes and texts joined to sequences, embedded in chunks of similar length.

Shapes: N pairs of a side, n of them in a chunk, T tokens, K image codes, D width, M hidden tokens of a chunk (in a
side: its distinct images), V ids, C channels of an image vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core.errors import UserError
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.fuselip import FuseLIP
from fuselip.model.image_tokens import ImageTokens
from fuselip.model.sizes import PAD
from fuselip.train.batch import Side
from fuselip.train.forward import IMAGES_PER_PASS, PASS_TOKENS, Output, Prepared, by_length, floats, to
from fuselip.train.masking import IGNORED, Masked, accuracy_counts, masked_loss


@dataclass(frozen=True)
class Sequences(Prepared):
    """Joined token sequences: ids int64 [N, T], PAD after their lengths [N] (CPU tensors); perhaps masked.

    `vectors` float16 [M, K, C] of the side's images and `image_rows` int64 [N], for a model that reads vectors.
    """

    model: FuseLIP
    ids: Tensor
    lengths: Tensor
    masked: Masked | None = None
    num_masked: int = 0
    vectors: Tensor | None = None
    image_rows: Tensor | None = None

    def chunks(self, limit: int) -> list[Tensor]:
        return by_length(self.lengths, limit, PASS_TOKENS[self.model.token_embedding.weight.device.type])

    def embed(self, rows: Tensor, mask_weight: float | None) -> Output:
        device = self.model.token_embedding.weight.device
        width = int(self.lengths[rows].max())
        source = self.ids if self.masked is None else self.masked.ids
        ids_nT, lengths_n = to(source[rows, :width], device), to(self.lengths[rows], device)
        vectors_nKC = self._vectors(rows, device)
        if self.masked is None:
            return Output(F.normalize(self.model.embed(ids_nT, lengths_n, vectors_nKC).float(), dim=-1))
        image_nT = None
        if self.model.config.join:  # by the ids before some were hidden: [MASK] is of either kind
            image_nT = to(self.ids[rows, :width] >= self.model.config.image_offset, device)
        states_nTD = self.model.hidden(ids_nT, lengths_n, vectors_nKC, image_nT)
        pooled_nD = states_nTD[torch.arange(len(rows), device=device), lengths_n - 1]
        features_nD = F.normalize(self.model.ln_final(pooled_nD).float(), dim=-1)
        if mask_weight is None:
            return Output(features_nD)
        labels = self.masked.labels[rows, :width].flatten()
        places = (labels != IGNORED).nonzero().squeeze(1)
        labels_M = to(labels[places], device)
        logits_MV = self.model.mask_prediction_head(states_nTD.flatten(0, 1)[to(places, device)])
        counts = accuracy_counts(logits_MV, labels_M, self.model.config.image_offset)
        return Output(features_nD, masked_loss(logits_MV, labels_M, mask_weight), counts)

    def _vectors(self, rows: Tensor, device: torch.device) -> Tensor | None:
        """Those of each sequence's image [n, K, C]; any where it has none. None where no sequence has one."""
        if self.vectors is None or self.image_rows is None or not bool((self.image_rows[rows] >= 0).any()):
            return None
        return to(self.vectors[self.image_rows[rows].clamp(min=0)], device)


def tokens_of(model: FuseLIP, side: Side) -> ImageTokens | None:
    """The image codes int64 [M, K] of a side (CPU), and vectors float16 [M, K, C] for a model that reads them.

    From the frozen image tokenizer where the side brings pixels alone; None where it has no images.
    Raises UserError for codes that the model's codebook does not have, and for vectors that are missing or another's.
    """
    if side.codes is None and side.pixels is not None and len(side.pixels):
        device = model.token_embedding.weight.device
        step = IMAGES_PER_PASS[device.type]
        # In fp32 whatever the training's precision is: rounding would change codes.
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            parts = [model.image_tokens(floats(part, device)) for part in side.pixels.split(step)]
        vectors = [part.vectors.cpu() for part in parts if part.vectors is not None]
        codes = torch.cat([part.ids for part in parts]).cpu()
        side = replace(side, codes=codes, vectors=torch.cat(vectors) if vectors else None)
    if side.codes is None or not side.codes.numel():
        return None
    _check(model.config, side.codes, side.vectors)
    return ImageTokens(side.codes, side.vectors if model.config.vector_dim else None)


def codes_of(model: FuseLIP, side: Side) -> Tensor | None:
    """Those codes alone."""
    found = tokens_of(model, side)
    return None if found is None else found.ids


def _check(config: FuseLIPConfig, codes: Tensor, vectors: Tensor | None) -> None:
    low, high = int(codes.min()), int(codes.max())
    if codes.shape[1] != config.num_image_tokens or not 0 <= low <= high < config.num_codes:
        raise UserError(
            f"image codes of another tokenizer: {codes.shape[1]} an image, from {low} to {high}; "
            f"{config.image_tokenizer} gives {config.num_image_tokens} below {config.num_codes}. "
            "Make the token cache again with this model's tokenizer"
        )
    wanted = (*codes.shape, config.vector_dim)
    if config.vector_dim and (vectors is None or vectors.shape != wanted):
        found = "none" if vectors is None else f"some of the shape {tuple(vectors.shape)}"
        raise UserError(
            f"this model reads vectors of {config.image_tokenizer}, here of the shape {wanted}, and the batch has "
            f"{found}. Make the token cache again with this model's tokenizer"
        )


def join(side: Side, codes_MK: Tensor | None, config: FuseLIPConfig) -> tuple[Tensor, Tensor]:
    """ids int64 [N, T] and lengths [N] of a whole side: what `fuselip.model.tokens.join` gives row by row.

    Image ids first, then the text; cut to the context, where the last token becomes EOT if none is left; the
    sequence ends at its first EOT.
    """
    start_N = (side.image_rows >= 0).long() * (0 if codes_MK is None else codes_MK.shape[1])
    ends_N = (start_N + side.text_lengths).clamp(max=config.context_length)
    place_NT = torch.arange(int(ends_N.max())) - start_N[:, None]  # in the text; negative: in the image
    in_text_NT = (place_NT >= 0) & (place_NT < side.text_lengths[:, None])
    ids_NT = side.text_ids.gather(1, place_NT.clamp(0, side.text_ids.shape[1] - 1)).masked_fill(~in_text_NT, PAD)
    if codes_MK is not None:
        rows_N = side.image_rows.clamp(min=0)
        width = min(codes_MK.shape[1], ids_NT.shape[1])
        image_NK = codes_MK[rows_N, :width] + config.image_offset
        ids_NT[:, :width] = torch.where(place_NT[:, :width] < 0, image_NK, ids_NT[:, :width])
    eot = config.eot_id
    last_N1 = (ends_N - 1)[:, None]
    cut_N1 = ~(ids_NT == eot).any(1, keepdim=True)
    ids_NT.scatter_(1, last_N1, torch.where(cut_N1, eot, ids_NT.gather(1, last_N1)))
    lengths_N = (ids_NT == eot).int().argmax(1) + 1
    ids_NT[torch.arange(ids_NT.shape[1]) >= lengths_N[:, None]] = PAD
    return ids_NT[:, : int(lengths_N.max())], lengths_N
