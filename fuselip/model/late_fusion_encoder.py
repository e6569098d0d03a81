"""The late-fusion baselines as an encoder: distinct images and distinct texts through their towers once, then fused."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core.encoder import Weights
from fuselip.core.errors import UserError
from fuselip.core.images import rgb_pixels
from fuselip.core.types import ImageRef
from fuselip.model.encoder_base import TOKENS_PER_PASS, ModelEncoder, PreparedBatch
from fuselip.model.late_fusion import LateFusion
from fuselip.model.tokens import by_length, pad

FUSIONS = {"add": "late: normalised-sum (SF)", "magiclens": "late: MLF"}
PAIRS_PER_PASS = 1024
_ALONE = (
    "input {number} is an image without text, and {name} (MLF) joins every image with a text; give it one, or leave "
    "append_empty_text on"
)


class LateFusionEncoder(ModelEncoder):
    """Embeds by two towers and SF or MLF.

    `append_empty_text`: an image without text is joined with the embedding of the empty string, as these models were
    trained; without it, SF takes the image alone and MLF, which has no such case, refuses it.
    """

    CODE_VERSION = 1
    PREPROCESSING = "squash-bicubic-{side}-rgb-openai-mean-std"
    model: LateFusion

    def __init__(
        self,
        name: str,
        model: LateFusion,
        weights: Weights,
        *,
        device: torch.device,
        precision: str,
        compile: bool,
        append_empty_text: bool = True,
    ) -> None:
        super().__init__(
            name,
            model,
            weights,
            fusion=FUSIONS[model.config.fusion],
            device=device,
            precision=precision,
            compile=compile,
            settings={"append_empty_text": append_empty_text},
        )
        self.append_empty_text = append_empty_text

    def prepare_images(self, images: Sequence[ImageRef]) -> np.ndarray:
        """uint8 [M, S, S, 3]; safe to call in another thread."""
        return np.stack([rgb_pixels(image, self.side) for image in images])

    @torch.inference_mode()
    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """The image tower's outputs float32 [M, E] of what `prepare_images` made."""
        return self._images(images).float().cpu().numpy()

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """The text tower's outputs float32 [K, E]."""
        return self._texts([tuple(self.tokenize_text(text)) for text in texts]).float().cpu().numpy()

    @torch.inference_mode()
    def join(self, images: np.ndarray, texts: np.ndarray, has_image: np.ndarray, has_text: np.ndarray) -> np.ndarray:
        """Unit vectors float32 [N, E] from tower outputs [N, E]; rows of what an input lacks (bool [N]) are zero."""
        if (~has_text).any():
            if self.append_empty_text:
                texts, has_text = np.where(has_text[:, None], texts, self._empty_text), np.ones_like(has_text)
            elif self.model.config.fusion == "magiclens":
                raise UserError(_ALONE.format(number=int(np.argmin(has_text)), name=self.info.name))
        vectors = np.empty_like(images)
        for start in range(0, len(images), PAIRS_PER_PASS):
            part = slice(start, start + PAIRS_PER_PASS)
            given = (torch.tensor(array[part], device=self.device) for array in (images, texts, has_image, has_text))
            vectors[part] = F.normalize(self.model.fuse(*given).float(), dim=-1).cpu().numpy()
        return vectors

    @cached_property
    def _empty_text(self) -> np.ndarray:
        return self.encode_texts([""])[0]

    @torch.inference_mode()
    def _encode(self, batch: PreparedBatch) -> np.ndarray:
        text_rows, distinct = self._text_rows(batch)
        images_ME, texts_KE = self._images(batch.pixels), self._texts(distinct)
        vectors = np.empty((len(text_rows), self.model.config.dim), np.float32)
        for start in range(0, len(text_rows), PAIRS_PER_PASS):
            part = slice(start, start + PAIRS_PER_PASS)
            pairs = (images_ME, batch.image_rows[part]), (texts_KE, text_rows[part])
            (images_BE, has_image_B), (texts_BE, has_text_B) = (_pick(table, rows) for table, rows in pairs)
            fused_BE = self.model.fuse(images_BE, texts_BE, has_image_B, has_text_B)
            vectors[part] = F.normalize(fused_BE.float(), dim=-1).cpu().numpy()
        return vectors

    def _text_rows(self, batch: PreparedBatch) -> tuple[list[int | None], list[tuple[int, ...]]]:
        """For each input the row of its text among the distinct ones, None where it has none; and the distinct ones."""
        empty = (self.model.config.sot_id, self.model.config.eot_id)
        rows: list[int | None] = []
        distinct: dict[tuple[int, ...], int] = {}
        for number, (image, ids) in enumerate(zip(batch.image_rows, map(tuple, batch.text_ids), strict=True)):
            if ids != empty or image is None or self.append_empty_text:
                rows.append(distinct.setdefault(ids, len(distinct)))
            elif self.model.config.fusion == "magiclens":
                raise UserError(_ALONE.format(number=number, name=self.info.name))
            else:
                rows.append(None)
        return rows, list(distinct)

    def _images(self, pixels: np.ndarray) -> Tensor:
        """The image tower's output for each image [M, E] (one unused row where there is none)."""
        table_ME = torch.zeros(max(1, len(pixels)), self.model.config.dim, device=self.device)
        done = 0
        for part in self._passes(pixels):
            table_ME[done : done + len(part)] = self.model.image_embedding(part)
            done += len(part)
        return table_ME

    def _texts(self, sequences: Sequence[tuple[int, ...]]) -> Tensor:
        """The text tower's output for each sequence of ids [K, E] (one unused row where there is none)."""
        table_KE = torch.zeros(max(1, len(sequences)), self.model.config.dim, device=self.device)
        for chunk in by_length(sequences, TOKENS_PER_PASS[self.device.type]):
            ids, lengths = (tensor.to(self.device) for tensor in pad([sequences[index] for index in chunk]))
            table_KE[chunk] = self.model.text_embedding(ids, lengths)
        return table_KE


def _pick(table_NE: Tensor, rows: Sequence[int | None]) -> tuple[Tensor, Tensor]:
    """The rows of `table` [B, E], and which of them there are: bool [B]."""
    index_B = torch.tensor([row or 0 for row in rows], device=table_NE.device)
    return table_NE[index_B], torch.tensor([row is not None for row in rows], device=table_NE.device)
