"""What the encoders of all our models share: preparing a batch, device and precision, the record of a run."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import PIL
import torch
from torch import Tensor

from fuselip.core import images
from fuselip.core.encoder import EncoderInfo, Limits, Role, Weights
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import ImageRef, Input, Scalar, content_hash
from fuselip.model.checkpoints import Network
from fuselip.model.pretrained import Pretrained
from fuselip.model.text_tokenizers import TextIds, text_tokenizer_of
from fuselip.model.transformer import compile_blocks, lower_precision

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# What one pass takes: on CPUs no more than stays near the cache, on accelerators enough to fill them.
IMAGES_PER_PASS = {"cpu": 4, "cuda": 32, "mps": 8}
TOKENS_PER_PASS = {"cpu": 4096, "cuda": 65536, "mps": 8192}


@dataclass(frozen=True)
class PreparedBatch:
    """Inputs ready for the model: distinct images uint8 [M, S, S, 3]; per input its image's row and text ids."""

    pixels: np.ndarray
    image_rows: list[int | None]
    text_ids: list[list[int]]


class ModelEncoder(Pretrained, ABC):
    """Embeds Inputs (and what `Input.of` takes); what a model does with a prepared batch is its subclass's."""

    CODE_VERSION: ClassVar[int]  # to be raised whenever the same weights would give other vectors
    PREPROCESSING: ClassVar[str]  # with {side} for the picture's pixels

    def __init__(
        self,
        name: str,
        model: Network,
        weights: Weights,
        *,
        fusion: str,
        device: torch.device,
        precision: str,
        compile: bool,
        settings: Mapping[str, Scalar | None] | None = None,
        text: TextIds | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        lower_precision(self.model, PRECISIONS[precision])
        self.model.to(device)
        if device.type == "cuda" and precision == "fp32":
            torch.set_float32_matmul_precision("highest")  # no TF32: image ids would change
        if compile:
            compile_blocks(self.model)
        self.side = model.config.image_side
        self._text = text or text_tokenizer_of(model.config)
        self.device = device
        self.precision = precision
        self.limits = Limits(texts=512)
        self.info = self._info(name, weights, fusion, compile, settings or {})

    def encode(
        self, inputs: Sequence[Any] | PreparedBatch, *, role: Role = "query", instruction: str = ""
    ) -> np.ndarray:
        """Unit vectors float32 [N, D], in order. Role and instruction change nothing for these models.

        `inputs`: Inputs, str (always text), PIL images, pathlib.Paths, (image, text) pairs, mixed; or what `prepare`
        made of them. Each distinct image is looked at once.
        """
        return self._encode(inputs if isinstance(inputs, PreparedBatch) else self.prepare(inputs))

    def prepare(self, inputs: Sequence[Any]) -> PreparedBatch:
        """Decode, resize and tokenize text: what needs no accelerator. Safe to call in another thread."""
        if isinstance(inputs, str | bytes):
            raise TypeError("encode takes a list of inputs; for one text pass [text]")
        parsed = [Input.of(value) for value in inputs]
        rows: dict[str, int] = {}
        pixels: list[np.ndarray] = []
        for item in parsed:
            if item.image is not None and item.image.key not in rows:
                rows[item.image.key] = len(pixels)
                pixels.append(self._square(item.image))
        return PreparedBatch(
            np.stack(pixels) if pixels else np.empty((0, self.side, self.side, 3), np.uint8),
            [None if item.image is None else rows[item.image.key] for item in parsed],
            [self.tokenize_text(item.text) for item in parsed],
        )

    def tokenize_text(self, text: str) -> list[int]:
        """[SOT, ..., EOT], at most the context's length."""
        return self._text.encode(text, self.model.config.context_length)

    def _square(self, image: ImageRef) -> np.ndarray:
        """uint8 [S, S, 3] of one picture."""
        return images.rgb_pixels(image, self.side)

    @abstractmethod
    def _encode(self, batch: PreparedBatch) -> np.ndarray:
        """Unit vectors float32 [N, D] of a prepared batch."""

    def _passes(self, pixels: np.ndarray) -> Iterator[Tensor]:
        """uint8 [M, S, S, 3] as float [m, 3, S, S] in 0..1 on the device, as many as one pass takes each."""
        step = IMAGES_PER_PASS[self.device.type]
        for start in range(0, len(pixels), step):
            part = torch.from_numpy(np.array(pixels[start : start + step])).to(self.device)
            yield part.permute(0, 3, 1, 2).float().div(255)

    def _info(
        self, name: str, weights: Weights, fusion: str, compile: bool, more: Mapping[str, Scalar | None]
    ) -> EncoderInfo:
        device, config = self.device, self.model.config
        settings: dict[str, Scalar | None] = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "compile": compile,
            "threads": torch.get_num_threads(),
            "preprocessing": self.PREPROCESSING.format(side=config.image_side),
            "context_length": config.context_length,
            "padding": config.padding,
            "torch": str(torch.__version__),
            **more,
        }
        machine = [platform.machine(), torch.backends.cpu.get_cpu_capability(), PIL.__version__, self._text.version]
        return EncoderInfo(
            name=name,
            revision=weights.revision,
            dim=config.dim,
            fusion=fusion,
            instructions="ignored",
            roles="ignored",
            precision=self.precision,
            params=sum(parameter.numel() for parameter in self.model.parameters()),
            fingerprint=content_hash([name, weights.sha256, self.CODE_VERSION, self.precision, settings, machine]),
            weights=weights,
            settings=settings,
        )


def device_of(device: str) -> torch.device:
    """The device of that name, or the best one there is for "auto". Raises UsageError, UserError."""
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}{did_you_mean(device, DEVICES)}; choose {', '.join(DEVICES)}")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
    if not present[device]:
        raise UserError(f"device {device} is not available to this torch ({torch.__version__}); choose --device cpu")
    return torch.device(device)


def check_precision(precision: str) -> None:
    """Raises UsageError for one that there is not."""
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; choose {', '.join(PRECISIONS)}")
