"""CLIP, SigLIP and SigLIP 2 from transformers: two towers, joined by a policy that is named in every result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.encoders import checkpoint as checkpoints
from benchmarks.encoders.centring import Centre, centred
from benchmarks.encoders.checkpoint import Checkpoint
from benchmarks.encoders.libraries import (
    Device,
    Precision,
    machine,
    need,
    picture,
    settings_of,
    to_device,
    torch_device,
    torch_dtype,
)
from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.errors import UserError
from fuselip.core.files import read_json
from fuselip.core.fusion import Fused, FusionPolicy, PolicyName
from fuselip.core.types import ImageRef, content_hash

CODE_VERSION = 1
# Which `model_type`s of transformers each prefix takes.
FAMILIES = {
    "clip": ("clip",),
    "siglip": ("siglip", "siglip2"),
}


def load(
    family: str,
    name: str,
    *,
    fusion: PolicyName = "normalised-sum",
    image_weight: float = 0.5,
    centre: Centre = "none",
    revision: str | None = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    trust_remote_code: bool = False,
    offline: bool = False,
) -> Fused:
    """The model of a hub repository or a local folder. `fusion`, `image_weight`, `centre`: see FusionPolicy.

    `trust_remote_code` runs the repository's own Python, and is recorded. Raises UserError for a model of another kind.
    """
    need("transformers", "transformers")
    policy = FusionPolicy(fusion, image_weight, "" if centre == "none" else centre)
    found = checkpoints.find(name, revision, offline=offline, with_code=trust_remote_code)
    towers = Towers(family, found, torch_device(device), precision)
    return Fused(towers, policy if centre == "none" else centred(policy, towers))


class Towers:
    """A TwoTower of a transformers model that has `get_image_features` and `get_text_features`."""

    limits = Limits(images=16, inputs=64)

    def __init__(self, family: str, checkpoint: Checkpoint, device: Any, precision: str) -> None:
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

        options = {"local_files_only": True, "trust_remote_code": checkpoint.with_code}
        config = AutoConfig.from_pretrained(checkpoint.folder, **options)
        kind = config.model_type
        if kind not in FAMILIES[family] and not checkpoint.with_code:
            other = next((f"; write {each}:{checkpoint.name}" for each in FAMILIES if kind in FAMILIES[each]), "")
            raise UserError(
                f"{checkpoint.name} is a {kind} model; {family}: takes {', '.join(FAMILIES[family])}{other}"
            )
        self.device, self.dtype = device, torch_dtype(precision)
        self.model = checkpoints.load_whole(AutoModel, checkpoint, self.dtype).to(device)
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, **options)
        # Pillow's processors everywhere: those of torchvision give other pixels, and are not everywhere.
        self.processor = AutoImageProcessor.from_pretrained(checkpoint.folder, backend="pil", **options)
        self.length = int(config.text_config.max_position_embeddings)
        # SigLIP was trained on texts padded to their full length, without a mask, and SigLIP 2 on lower case. Not every
        # checkpoint's tokenizer says so: those of fixed resolution are called SigLIP's model with Gemma's tokenizer.
        self.whole = kind.startswith("siglip")
        self.lower = kind == "siglip2" or (self.whole and _tokenizer_class(checkpoint).startswith(("Gemma", "Siglip2")))
        settings = settings_of(
            device,
            ("transformers", "tokenizers"),
            model_type=kind,
            image_processor=type(self.processor).__name__,
            text_length=self.length,
            text_padding="to full length, unmasked" if self.whole else "longest",
            text_lower_case=self.lower,
            trust_remote_code=checkpoint.with_code,
        )
        self.info = EncoderInfo(
            name=f"{family}:{checkpoint.weights.location}",
            revision=checkpoint.revision,
            instructions="ignored",
            roles="ignored",
            precision=precision,
            params=sum(parameter.numel() for parameter in self.model.parameters()),
            fingerprint=content_hash([checkpoint.sha256, CODE_VERSION, precision, settings, machine()]),
            weights=checkpoint.weights,
            settings=settings,
        )

    def prepare_images(self, images: Sequence[ImageRef]) -> Mapping[str, Any]:
        """Decoded, resized and normalised: the processor's tensors."""
        return dict(self.processor(images=[picture(ref) for ref in images], return_tensors="pt"))

    def encode_images(self, images: Sequence[ImageRef] | Mapping[str, Any]) -> np.ndarray:
        """float32 [N, D], not normalised."""
        import torch

        prepared = images if isinstance(images, Mapping) else self.prepare_images(images)
        with torch.inference_mode():
            return _rows(self.model.get_image_features(**to_device(prepared, self.device, self.dtype)))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, D], not normalised. Texts are cut to the model's length."""
        import torch

        ids = self.tokenizer(
            [text.lower() if self.lower else text for text in texts],
            padding="max_length" if self.whole else True,
            truncation=True,
            max_length=self.length,
            return_attention_mask=not self.whole,
            return_tensors="pt",
        )
        with torch.inference_mode():
            return _rows(self.model.get_text_features(**to_device(ids, self.device, self.dtype)))


def _tokenizer_class(checkpoint: Checkpoint) -> str:
    path = checkpoint.folder / "tokenizer_config.json"
    found = read_json(path) if path.is_file() else {}
    return str(found.get("tokenizer_class", "")) if isinstance(found, dict) else ""


def _rows(output: Any) -> np.ndarray:
    """Since transformers 5 the features come in an output object."""
    found: np.ndarray = getattr(output, "pooler_output", output).float().cpu().numpy()
    return found
