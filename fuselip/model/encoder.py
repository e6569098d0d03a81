"""The encoder: a mixed list of texts, images and pairs in, unit vectors out. What the benchmarks and users call."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ftfy
import numpy as np
import PIL
import torch
from torch import Tensor
from torch.nn import functional as F

from fuselip.core import images
from fuselip.core.encoder import EncoderInfo, Limits, Role, Weights
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import ImageRef, Input, Scalar, as_image, content_hash
from fuselip.model.fuselip import FuseLIP
from fuselip.model.sizes import IMAGE_SIZE
from fuselip.model.text_tokenizer import text_tokenizer
from fuselip.model.tokens import by_length, join, pad
from fuselip.model.transformer import compile_blocks, lower_precision
from fuselip.model.weights import load_weights

CODE_VERSION = 1  # to be raised whenever the same weights would give other vectors
PREPROCESSING = "squash-bicubic-256-rgb"
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# What one pass takes: on CPUs no more than stays near the cache, on accelerators enough to fill them.
IMAGES_PER_PASS = {"cpu": 4, "cuda": 32, "mps": 8}
TOKENS_PER_PASS = {"cpu": 4096, "cuda": 65536, "mps": 8192}


@dataclass(frozen=True)
class PreparedBatch:
    """Inputs ready for the model: distinct images uint8 [M, 256, 256, 3]; per input its image's row and text ids."""

    pixels: np.ndarray
    image_rows: list[int | None]
    text_ids: list[list[int]]


def load(
    name: str = "fuselip-b",
    *,
    weights: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    compile: bool = False,
    seed: int = 0,
    offline: bool = False,
) -> FuseLIPEncoder:
    """Load a model by name (`sizes.MODELS`) for embedding.

    `weights`: auto | cc12m-mm | cc3m-mm | random | a checkpoint folder | hf:REPO[@REV]; what was taken is told in
    `encoder.info.weights.note`. `precision` below fp32 applies to the matrices; see `precision_report`. `seed` is that
    of random weights. `offline` forbids the network. Raises UsageError and UserError that say how to mend it.
    """
    chosen, _ = _device(device), _precision(precision)

    def read() -> tuple[FuseLIP, Weights]:
        return load_weights(name, weights, seed=seed, offline=offline)

    model, record = read()
    return FuseLIPEncoder(name, model, record, device=chosen, precision=precision, compile=compile, reread=read)


class FuseLIPEncoder:
    """Embeds Inputs (and what `Input.of` takes). Ids are reachable by `tokenize_image`, `tokenize_text`, `sequence`."""

    def __init__(
        self,
        name: str,
        model: FuseLIP,
        weights: Weights,
        *,
        device: torch.device,
        precision: str,
        compile: bool,
        reread: Callable[[], tuple[FuseLIP, Weights]],
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        lower_precision(self.model, PRECISIONS[precision])
        self.model.to(device)
        if device.type == "cuda" and precision == "fp32":
            torch.set_float32_matmul_precision("highest")  # no TF32: image ids would change
        if compile:
            compile_blocks(self.model)
        self.device = device
        self.precision = precision
        self.limits = Limits()
        self.info = _info(name, model, weights, device, precision, compile)
        self._reread = reread

    def encode(
        self, inputs: Sequence[Any] | PreparedBatch, *, role: Role = "query", instruction: str = ""
    ) -> np.ndarray:
        """Unit vectors float32 [N, D], in order. Role and instruction change nothing for this model.

        `inputs`: Inputs, str (always text), PIL images, pathlib.Paths, (image, text) pairs, mixed; or what `prepare`
        made of them. Each distinct image is tokenized once.
        """
        batch = inputs if isinstance(inputs, PreparedBatch) else self.prepare(inputs)
        image_ids = self._image_ids(batch.pixels)
        sequences = [
            self._join([] if row is None else image_ids[row], text)
            for row, text in zip(batch.image_rows, batch.text_ids, strict=True)
        ]
        vectors = np.empty((len(sequences), self.model.config.size.width), np.float32)
        for chunk in by_length(sequences, TOKENS_PER_PASS[self.device.type]):
            vectors[chunk] = self._embed([sequences[index] for index in chunk])
        return vectors

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
                pixels.append(images.rgb_pixels(item.image, IMAGE_SIZE))
        return PreparedBatch(
            np.stack(pixels) if pixels else np.empty((0, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
            [None if item.image is None else rows[item.image.key] for item in parsed],
            [self.tokenize_text(item.text) for item in parsed],
        )

    def tokenize_image(self, image: Any) -> list[int]:
        """The token ids of one image (an ImageRef, PIL image or pathlib.Path), as they stand in the sequence."""
        return self._image_ids(images.rgb_pixels(as_image(image), IMAGE_SIZE)[None])[0]

    def tokenize_text(self, text: str) -> list[int]:
        """[SOT, ..., EOT], at most the context's length."""
        return text_tokenizer().encode(text, self.model.config.context_length)

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
        pixels = np.stack([images.rgb_pixels(ref, IMAGE_SIZE) for ref in refs])
        changed = np.zeros((len(refs), self.model.config.titok.num_latents), bool)
        if self.precision != "fp32":
            here = np.array(self._image_ids(pixels))
            reference, weights = self._reread()
            exact = FuseLIPEncoder(
                self.info.name,
                reference,
                weights,
                device=self.device,
                precision="fp32",
                compile=False,
                reread=self._reread,
            )
            changed = here != np.array(exact._image_ids(pixels))
        return {
            "precision": self.precision,
            "images": len(refs),
            "ids": int(changed.size),
            "ids_changed": float(changed.mean()),
            "images_changed": float(changed.any(axis=1).mean()),
        }

    def _join(self, image_ids: Sequence[int], text_ids: Sequence[int]) -> list[int]:
        return join(image_ids, text_ids, self.model.config.context_length)

    @torch.inference_mode()
    def _image_ids(self, pixels: np.ndarray) -> list[list[int]]:
        """Token ids of uint8 pixels [M, 256, 256, 3]."""
        step = IMAGES_PER_PASS[self.device.type]
        ids: list[list[int]] = []
        for start in range(0, len(pixels), step):
            part = torch.from_numpy(np.array(pixels[start : start + step])).to(self.device)
            ids += self.model.image_ids(part.permute(0, 3, 1, 2).float().div(255)).tolist()
        return ids

    @torch.inference_mode()
    def _embed(self, sequences: Sequence[Sequence[int]]) -> np.ndarray:
        ids, lengths = (tensor.to(self.device) for tensor in pad(sequences))
        vectors: Tensor = F.normalize(self.model.embed(ids, lengths).float(), dim=-1)
        return vectors.cpu().numpy()


def _info(
    name: str, model: FuseLIP, weights: Weights, device: torch.device, precision: str, compile: bool
) -> EncoderInfo:
    settings: dict[str, Scalar | None] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "compile": compile,
        "threads": torch.get_num_threads(),
        "preprocessing": PREPROCESSING,
        "context_length": model.config.context_length,
        "padding": model.config.padding,
        "torch": str(torch.__version__),
    }
    machine = [platform.machine(), torch.backends.cpu.get_cpu_capability(), PIL.__version__, ftfy.__version__]
    return EncoderInfo(
        name=name,
        revision=weights.revision,
        dim=model.config.size.width,
        fusion="early",
        instructions="ignored",
        roles="ignored",
        precision=precision,
        params=sum(parameter.numel() for parameter in model.parameters()),
        fingerprint=content_hash([name, weights.sha256, CODE_VERSION, precision, settings, machine]),
        weights=weights,
        settings=settings,
    )


def _device(device: str) -> torch.device:
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}{did_you_mean(device, DEVICES)}; choose {', '.join(DEVICES)}")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
    if not present[device]:
        raise UserError(f"device {device} is not available to this torch ({torch.__version__}); choose --device cpu")
    return torch.device(device)


def _precision(precision: str) -> torch.dtype:
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; choose {', '.join(PRECISIONS)}")
    return PRECISIONS[precision]
