"""TokLIP's side of the training forward: an image's codes through its tower, or a text; and what distils it.

Shapes: N pairs of a side, n of them in a chunk, M distinct images, K codes of an image, D width of the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core.errors import UserError
from fuselip.model.image_tokens import ImageTokens
from fuselip.model.sizes import PAD
from fuselip.model.toklip import TokLIP
from fuselip.train.batch import Side
from fuselip.train.forward import IMAGES_PER_PASS, Output, Prepared, floats, to
from fuselip.train.teacher import Teacher


@dataclass(frozen=True)
class ImageOrText(Prepared):
    """A side as it is; `tokens`: codes of its images, and as vectors [M, 1, D] the teacher's features of them.

    Raises UserError for an input of both modalities: TokLIP is trained on images with their texts alone.
    """

    model: TokLIP
    side: Side
    tokens: ImageTokens | None

    def __post_init__(self) -> None:
        if bool(((self.side.image_rows >= 0) & (self.side.text_lengths > 0)).any()):
            raise UserError(
                "this batch holds inputs of image and text at once, and TokLIP has no joint embedding to train; give "
                "data of pictures with their captions (--data datagen.training:scenes?kind=captions)"
            )

    def chunks(self, limit: int) -> list[Tensor]:
        rows = torch.arange(len(self.side))
        return list(rows.split(limit or max(1, len(rows)))) if len(rows) else []

    def embed(self, rows: Tensor, mask_weight: float | None) -> Output:
        device = self.model.logit_scale.device
        image_n = self.side.image_rows[rows]
        there_n = image_n >= 0
        features_nD = torch.zeros(len(rows), self.model.config.dim, device=device)
        if self.tokens is not None and bool(there_n.any()):
            features_nD = _placed(features_nD, there_n, self._images(image_n[there_n], device))
        if not bool(there_n.all()):
            features_nD = _placed(features_nD, ~there_n, self._texts(rows[~there_n], device))
        return Output(F.normalize(features_nD, dim=-1))

    def _images(self, chosen: Tensor, device: torch.device) -> Tensor:
        """The image tower's output for each, each distinct image computed once."""
        assert self.tokens is not None
        distinct, inverse = torch.unique(chosen, return_inverse=True)
        trunk = self.model.visual.trunk
        vectors_MKC = trunk.vq.quantize.vectors(to(self.tokens.ids[distinct], device))
        return trunk.attn_pool(trunk.states(vectors_MKC))[to(inverse, device)]

    def _texts(self, rows: Tensor, device: torch.device) -> Tensor:
        """The text tower's output for each, each distinct text computed once."""
        context = self.model.config.context_length
        ids = F.pad(self.side.text_ids[rows], (0, context - self.side.text_ids.shape[1]), value=PAD)
        distinct, inverse = torch.unique(ids, dim=0, return_inverse=True)
        return self.model.text_embedding(to(distinct, device))[to(inverse, device)]


def _placed(table_nD: Tensor, chosen_n: Tensor, values_mD: Tensor) -> Tensor:
    places = to(chosen_n.nonzero().squeeze(1), table_nD.device)
    return table_nD.index_copy(0, places, values_mD.to(table_nD.dtype))


def tokens_of_image(model: TokLIP, teacher: Teacher | None, side: Side) -> ImageTokens | None:
    """Codes int64 [M, K] of a side's images (CPU) and, as vectors, the teacher's unit features float16 [M, 1, D].

    Both frozen, so that a cache gives them where the side brings no pixels; None where it has no images.
    Raises UserError for codes and features that are another tokenizer's or teacher's.
    """
    ids, features = side.codes, side.vectors
    if ids is None and side.pixels is not None and len(side.pixels):
        device = model.logit_scale.device
        made, targets = [], []
        for part in side.pixels.split(IMAGES_PER_PASS[device.type]):
            pixels = floats(part, device)
            # In fp32 whatever the training's precision is: rounding would change codes.
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                made.append(model.visual.trunk.vq.encode_ids(pixels).cpu())
            if teacher is not None:
                targets.append(teacher(pixels).cpu())
        ids, features = torch.cat(made), torch.cat(targets)[:, None] if targets else None
    if ids is None or not ids.numel():
        return None
    config = model.config
    wanted = (len(ids), 1, config.dim)
    if ids.shape[1] != config.num_image_tokens or not 0 <= int(ids.min()) <= int(ids.max()) < config.num_codes:
        raise UserError(f"image codes of another tokenizer than {config.architecture}; make the token cache again")
    if teacher is not None and (features is None or features.shape != wanted):
        raise UserError(
            f"the batch brings no features of the teacher of the shape {wanted}; make the token cache again"
        )
    return ImageTokens(ids, features)


def distilled(features_ND: Tensor, side: Side, tokens: ImageTokens, weight: float) -> Tensor:
    """`weight` times the summed squared differences of the images' unit features from the teacher's."""
    assert tokens.vectors is not None
    there_N = side.image_rows >= 0
    target_nD = to(tokens.vectors[side.image_rows[there_N], 0].float(), features_ND.device)
    found_nD = features_ND[to(there_N.nonzero().squeeze(1), features_ND.device)]
    return (found_nD.float() - F.normalize(target_nD, dim=-1)).square().sum() * weight
