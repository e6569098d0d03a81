"""FuseLIP's side of the training forward: codes and texts joined to sequences, embedded in chunks of similar length.

Shapes: N pairs of a side, n of them in a chunk, T tokens, K image codes, D width, M hidden tokens of a chunk, V ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core.errors import UserError
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.fuselip import FuseLIP
from fuselip.model.sizes import PAD
from fuselip.train.batch import Side
from fuselip.train.forward import IMAGES_PER_PASS, PASS_TOKENS, Output, Prepared, by_length, floats, to
from fuselip.train.masking import IGNORED, Masked, accuracy_counts, masked_loss


@dataclass(frozen=True)
class Sequences(Prepared):
    """Joined token sequences: ids int64 [N, T], PAD after their lengths [N] (CPU tensors); perhaps masked."""

    model: FuseLIP
    ids: Tensor
    lengths: Tensor
    masked: Masked | None = None
    num_masked: int = 0

    def chunks(self, limit: int) -> list[Tensor]:
        return by_length(self.lengths, limit, PASS_TOKENS[self.model.token_embedding.weight.device.type])

    def embed(self, rows: Tensor, mask_weight: float | None) -> Output:
        device = self.model.token_embedding.weight.device
        width = int(self.lengths[rows].max())
        source = self.ids if self.masked is None else self.masked.ids
        ids_nT, lengths_n = to(source[rows, :width], device), to(self.lengths[rows], device)
        if self.masked is None:
            return Output(F.normalize(self.model.embed(ids_nT, lengths_n).float(), dim=-1))
        states_nTD = self.model.hidden(ids_nT, lengths_n)
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


def codes_of(model: FuseLIP, side: Side) -> Tensor | None:
    """The image codes int64 [M, K] of a side (CPU); from the frozen image tokenizer where it brings pixels alone.

    Raises UserError for codes that the model's codebook does not have.
    """
    config, codes = model.config, side.codes
    if codes is None and side.pixels is not None and len(side.pixels):
        device = model.token_embedding.weight.device
        step = IMAGES_PER_PASS[device.type]
        # In fp32 whatever the training's precision is: rounding would change codes.
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            parts = [model.image_ids(floats(part, device)) for part in side.pixels.split(step)]
        codes = torch.cat(parts).cpu() - model.config.image_offset
    if codes is not None and codes.numel():
        low, high = int(codes.min()), int(codes.max())
        if codes.shape[1] != config.num_image_tokens or not 0 <= low <= high < config.num_codes:
            raise UserError(
                f"image codes of another tokenizer: {codes.shape[1]} an image, from {low} to {high}; "
                f"{config.image_tokenizer} gives {config.num_image_tokens} below {config.num_codes}. "
                "Make the token cache again with this model's tokenizer"
            )
        return codes
    return None


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
