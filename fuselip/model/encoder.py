"""The encoders: a mixed list of texts, images and pairs in, unit vectors out. What the benchmarks and users call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core import images
from fuselip.core.encoder import Weights
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef, Input, as_image
from fuselip.model.checkpoints import Network
from fuselip.model.encoder_base import TOKENS_PER_PASS, ModelEncoder, PreparedBatch, check_precision, device_of
from fuselip.model.fuselip import FuseLIP
from fuselip.model.late_fusion import LateFusion
from fuselip.model.late_fusion_encoder import LateFusionEncoder
from fuselip.model.tokens import by_length, join, pad
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_encoder import of as toklip_of
from fuselip.model.weights import load_weights


def load(
    name: str = "fuselip-b",
    *,
    weights: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    compile: bool = False,
    seed: int = 0,
    offline: bool = False,
    append_empty_text: bool = True,
) -> ModelEncoder:
    """Load a model by name (`models.MODELS`) for embedding.

    `weights`: auto | bundled | cc12m-mm | cc3m-mm | random | a checkpoint folder | hf:REPO[@REV]; what was taken is
    told in `encoder.info.weights.note`. `precision` below fp32 applies to the matrices; see `precision_report`. `seed`
    is that of random weights. `offline` forbids the network. `append_empty_text` is for late fusion: whether an image
    without text is joined with the empty string. Raises UsageError and UserError that say how to mend it.
    """
    chosen = device_of(device)
    check_precision(precision)

    def read() -> tuple[Network, Weights]:
        return load_weights(name, weights, seed=seed, offline=offline)

    model, record = read()
    if isinstance(model, LateFusion):
        return LateFusionEncoder(
            name,
            model,
            record,
            device=chosen,
            precision=precision,
            compile=compile,
            append_empty_text=append_empty_text,
        )
    if isinstance(model, TokLIP):
        return toklip_of(name, model, record, device=chosen, precision=precision, compile=compile, offline=offline)
    if not append_empty_text:
        raise UsageError(f"append_empty_text is for late fusion; {name} has one transformer for both: leave it out")
    return FuseLIPEncoder(name, model, record, device=chosen, precision=precision, compile=compile, reread=read)


class FuseLIPEncoder(ModelEncoder):
    """Embeds by FuseLIP. Ids are reachable by `tokenize_image`, `tokenize_text`, `sequence`."""

    CODE_VERSION = 1
    PREPROCESSING = "squash-bicubic-{side}-rgb"
    model: FuseLIP

    def __init__(
        self,
        name: str,
        model: FuseLIP,
        weights: Weights,
        *,
        device: torch.device,
        precision: str,
        compile: bool,
        reread: Callable[[], tuple[Network, Weights]],
    ) -> None:
        super().__init__(name, model, weights, fusion="early", device=device, precision=precision, compile=compile)
        self._reread = reread

    def _encode(self, batch: PreparedBatch) -> np.ndarray:
        image_ids, image_vectors = self._image_tokens(batch.pixels)
        sequences = [
            self._join([] if row is None else image_ids[row], text)
            for row, text in zip(batch.image_rows, batch.text_ids, strict=True)
        ]
        vectors = np.empty((len(sequences), self.model.config.dim), np.float32)
        for chunk in by_length(sequences, TOKENS_PER_PASS[self.device.type]):
            rows = [batch.image_rows[index] for index in chunk]
            vectors[chunk] = self._embed([sequences[index] for index in chunk], _rows(image_vectors, rows))
        return vectors

    def tokenize_image(self, image: Any) -> list[int]:
        """The token ids of one image (an ImageRef, PIL image or pathlib.Path), as they stand in the sequence."""
        return self._image_tokens(images.rgb_pixels(as_image(image), self.side)[None])[0][0]

    def sequence(self, value: Any) -> list[int]:
        """The ids the transformer sees for one input: image ids, then text, cut to the context, up to the EOT."""
        item = Input.of(value)
        image_ids = [] if item.image is None else self.tokenize_image(item.image)
        return self._join(image_ids, self.tokenize_text(item.text))

    def precision_report(self, refs: Sequence[ImageRef]) -> dict[str, Any]:
        """How many image ids differ from those of fp32 on these images; the weights are read again for it.

        {"precision", "images", "ids", "ids_changed" (share of ids), "images_changed" (share with any change)}.
        """
        if not refs:
            raise UserError("a precision report needs at least one image")
        pixels = np.stack([images.rgb_pixels(ref, self.side) for ref in refs])
        changed = np.zeros((len(refs), self.model.config.num_image_tokens), bool)
        if self.precision != "fp32":
            here = np.array(self._image_tokens(pixels)[0])
            reference, weights = self._reread()
            assert isinstance(reference, FuseLIP)
            exact = FuseLIPEncoder(
                self.info.name,
                reference,
                weights,
                device=self.device,
                precision="fp32",
                compile=False,
                reread=self._reread,
            )
            changed = here != np.array(exact._image_tokens(pixels)[0])
        return {
            "precision": self.precision,
            "images": len(refs),
            "ids": int(changed.size),
            "ids_changed": float(changed.mean()),
            "images_changed": float(changed.any(axis=1).mean()),
        }

    def _join(self, image_ids: Sequence[int], text_ids: Sequence[int]) -> list[int]:
        return join(image_ids, text_ids, self.model.config.context_length, self.model.config.eot_id)

    @torch.inference_mode()
    def _image_tokens(self, pixels: np.ndarray) -> tuple[list[list[int]], Tensor | None]:
        """Token ids of uint8 pixels [M, S, S, 3], and vectors [M, K, C] on the device where the model reads them."""
        ids: list[list[int]] = []
        vectors: list[Tensor] = []
        for part in self._passes(pixels):
            tokens = self.model.image_tokens(part)
            ids += (tokens.ids + self.model.config.image_offset).tolist()
            if tokens.vectors is not None:
                vectors.append(tokens.vectors)
        return ids, torch.cat(vectors) if vectors else None

    @torch.inference_mode()
    def _embed(self, sequences: Sequence[Sequence[int]], image_vectors: Tensor | None) -> np.ndarray:
        ids, lengths = (tensor.to(self.device) for tensor in pad(sequences))
        vectors: Tensor = F.normalize(self.model.embed(ids, lengths, image_vectors).float(), dim=-1)
        return vectors.cpu().numpy()


def _rows(table: Tensor | None, rows: Sequence[int | None]) -> Tensor | None:
    """Rows of a table on its device, any row for None; no table where there is none."""
    return None if table is None else table[torch.tensor([row or 0 for row in rows], device=table.device)]
