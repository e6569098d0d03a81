"""TokLIP as an encoder: two towers, and a declared policy that joins what they say of an input with image and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fuselip.core.encoder import Weights
from fuselip.core.errors import UsageError
from fuselip.core.fusion import Fused, FusionPolicy, PolicyName
from fuselip.core.types import ImageRef
from fuselip.model.encoder_base import TOKENS_PER_PASS, ModelEncoder, PreparedBatch, check_precision, device_of
from fuselip.model.models import model_of
from fuselip.model.text_tokenizers import TextIds
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_config import Resize, TokLIPConfig
from fuselip.model.toklip_pixels import square
from fuselip.model.toklip_text import text_of
from fuselip.model.weights import load_weights


def load(
    name: str,
    *,
    weights: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    compile: bool = False,
    seed: int = 0,
    offline: bool = False,
    resize: Resize | None = None,
    fusion: PolicyName = "normalised-sum",
    image_weight: float = 0.5,
    tokenizer: str = "",
) -> TokLIPEncoder:
    """Load a TokLIP by name for embedding.

    `weights`: as for the other models, and "official" (after a notice of the licence) or the path of a published .pt
    file. `resize`: "crop" (default of the published sizes) or "squash". `fusion`, `image_weight`: see FusionPolicy.
    `tokenizer`: the folder of SigLIP 2's text tokenizer, where the hub cannot be asked. Raises UsageError, UserError.
    """
    chosen = device_of(device)
    check_precision(precision)
    if not isinstance(model_of(name).config, TokLIPConfig):
        raise UsageError(f"{name} is no TokLIP; load it with fuselip.load")
    policy = FusionPolicy(fusion, image_weight)
    model, record = load_weights(name, weights, seed=seed, offline=offline)
    assert isinstance(model, TokLIP)
    return of(
        name,
        model,
        record,
        device=chosen,
        precision=precision,
        compile=compile,
        offline=offline,
        resize=resize,
        policy=policy,
        tokenizer=tokenizer,
    )


def of(
    name: str,
    model: TokLIP,
    record: Weights,
    *,
    device: torch.device,
    precision: str,
    compile: bool,
    offline: bool = False,
    resize: Resize | None = None,
    policy: FusionPolicy | None = None,
    tokenizer: str = "",
) -> TokLIPEncoder:
    """The encoder of a model that is loaded; for the options see `load`."""
    found = Path(record.location)
    beside = (found if found.is_dir() else found.parent) if record.source == "local" else None
    return TokLIPEncoder(
        name,
        model,
        record,
        device=device,
        precision=precision,
        compile=compile,
        resize=resize or model.config.size.resize,
        policy=policy or FusionPolicy(),
        text=text_of(model.config, tokenizer, beside, offline=offline),
    )


class TokLIPEncoder(ModelEncoder):
    """Embeds by TokLIP's towers. An input of one modality keeps that tower's vector."""

    CODE_VERSION = 1
    PREPROCESSING = "bicubic-{side}-rgb"
    model: TokLIP

    def __init__(
        self,
        name: str,
        model: TokLIP,
        weights: Weights,
        *,
        device: torch.device,
        precision: str,
        compile: bool,
        resize: Resize,
        policy: FusionPolicy,
        text: TextIds,
    ) -> None:
        self.resize = resize
        super().__init__(
            name,
            model,
            weights,
            fusion=policy.label,
            device=device,
            precision=precision,
            compile=compile,
            settings={
                "resize": resize,
                "fusion": policy.label,
                "image_weight": policy.image_weight,
                "text_tower": model.config.with_text,
            },
            text=text,
        )
        official = model_of(name).official
        if official is not None and weights.location == official.repo:
            self.info = replace(self.info, licence=official.licence)
        self._fused = Fused(self, policy)

    def tokenize_text(self, text: str) -> list[int]:
        """Ids filled up to the context's length; none of an empty text, which is not embedded."""
        return super().tokenize_text(text) if text else []

    def prepare_images(self, images: Sequence[ImageRef]) -> np.ndarray:
        """uint8 [M, S, S, 3]; safe to call in another thread."""
        return np.stack([self._square(image) for image in images])

    @torch.inference_mode()
    def encode_images(self, images: Sequence[ImageRef] | np.ndarray) -> np.ndarray:
        """The image tower's outputs float32 [M, D] of images, or of what `prepare_images` made of them."""
        pixels = images if isinstance(images, np.ndarray) else self.prepare_images(images)
        found = [self.model.image_embedding(part).float().cpu().numpy() for part in self._passes(pixels)]
        return np.concatenate(found) if found else np.empty((0, self.model.config.dim), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """The text tower's outputs float32 [K, D]. Raises UserError where there is no text tower or tokenizer."""
        return self._texts([tuple(self.tokenize_text(text)) for text in texts])

    def join(self, images: np.ndarray, texts: np.ndarray, has_image: np.ndarray, has_text: np.ndarray) -> np.ndarray:
        """Unit vectors float32 [N, D] from tower outputs [N, D]; bool [N] say which of them an input has."""
        return self._fused.join(images, texts, has_image, has_text)

    def _square(self, image: ImageRef) -> np.ndarray:
        return square(image, self.side, self.resize)

    def _encode(self, batch: PreparedBatch) -> np.ndarray:
        ids = [tuple(each) for each in batch.text_ids]
        distinct = {each: row for row, each in enumerate(dict.fromkeys(each for each in ids if each))}
        images_MD, texts_KD = self.encode_images(batch.pixels), self._texts(list(distinct))
        sides = [np.zeros((len(ids), self.model.config.dim), np.float32) for _ in range(2)]
        has_image = np.array([row is not None for row in batch.image_rows], bool)
        has_text = np.array([bool(each) for each in ids], bool)
        sides[0][has_image] = images_MD[[row for row in batch.image_rows if row is not None]]
        sides[1][has_text] = texts_KD[[distinct[each] for each in ids if each]]
        return self.join(sides[0], sides[1], has_image, has_text)

    @torch.inference_mode()
    def _texts(self, sequences: Sequence[tuple[int, ...]]) -> np.ndarray:
        """The text tower's output float32 [K, D] for each sequence of ids."""
        vectors = np.empty((len(sequences), self.model.config.dim), np.float32)
        step = TOKENS_PER_PASS[self.device.type] // self.model.config.context_length
        for start in range(0, len(sequences), step):
            part = torch.tensor(sequences[start : start + step], device=self.device)
            vectors[start : start + step] = self.model.text_embedding(part).float().cpu().numpy()
        return vectors
