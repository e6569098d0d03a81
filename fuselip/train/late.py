"""The late-fusion baselines' side of the training forward: each distinct image and text of a chunk once, then fused.

Shapes: n pairs of a chunk, m distinct images and k distinct texts among them, T tokens, E width of the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core.errors import UserError
from fuselip.model.late_fusion import LateFusion
from fuselip.train.batch import Side
from fuselip.train.forward import PASS_TOKENS, Output, Prepared, by_length, floats, inverse, to


@dataclass(frozen=True)
class TwoTowers(Prepared):
    """A side as it is. A missing text is the empty one and a missing image a zero row, as the paper trains them."""

    model: LateFusion
    side: Side

    def __post_init__(self) -> None:
        if self.side.pixels is None and bool((self.side.image_rows >= 0).any()):
            raise UserError("this batch holds image codes without pixels, and late fusion needs pixels: no token cache")

    def chunks(self, limit: int) -> list[Tensor]:
        rows = torch.arange(len(self.side))
        return list(rows.split(limit or max(1, len(rows)))) if len(rows) else []

    def embed(self, rows: Tensor, mask_weight: float | None) -> Output:
        texts_nE = self._texts(rows)
        fused_nE = self.model.fuse(self._images(rows, texts_nE), texts_nE)
        return Output(F.normalize(fused_nE.float(), dim=-1))

    def _images(self, rows: Tensor, like_nE: Tensor) -> Tensor:
        """The image tower's output [n, E], zero where there is no image."""
        image_n = self.side.image_rows[rows]
        there_n = image_n >= 0
        if self.side.pixels is None or not bool(there_n.any()):
            return torch.zeros_like(like_nE)
        distinct_m, inverse_n = torch.unique(image_n[there_n], return_inverse=True)
        images_mE = self.model.image_embedding(floats(self.side.pixels[distinct_m], like_nE.device))
        places = to(there_n.nonzero().squeeze(1), like_nE.device)
        zeros = torch.zeros(like_nE.shape, dtype=images_mE.dtype, device=like_nE.device)
        return zeros.index_copy(0, places, images_mE[to(inverse_n, like_nE.device)])

    def _texts(self, rows: Tensor) -> Tensor:
        """The text tower's output [n, E]."""
        device = self.model.model.logit_scale.device
        ids_nT, inverse_n = torch.unique(self.side.text_ids[rows], dim=0, return_inverse=True)
        lengths_k = torch.empty(len(ids_nT), dtype=torch.int64)
        lengths_k[inverse_n] = self.side.text_lengths[rows]
        parts = by_length(lengths_k, 0, PASS_TOKENS[device.type])
        tables = []
        for part in parts:
            width = int(lengths_k[part].max())
            tables.append(self.model.text_embedding(to(ids_nT[part, :width], device), to(lengths_k[part], device)))
        return torch.cat(tables)[to(inverse(torch.cat(parts))[inverse_n], device)]
