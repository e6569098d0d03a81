"""Models of sentence-transformers: of texts; of texts and images apart (joined by a policy); of both as one input."""

from __future__ import annotations

from collections.abc import Sequence
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
    torch_device,
    torch_dtype,
)
from fuselip.core.encoder import EncoderInfo, Limits, Role
from fuselip.core.errors import UserError
from fuselip.core.fusion import Fused, FusionPolicy, PolicyName
from fuselip.core.types import ImageRef, Input, content_hash

CODE_VERSION = 1


def load(
    name: str,
    *,
    instruction_prompt: str = "",
    fusion: PolicyName = "normalised-sum",
    image_weight: float = 0.5,
    centre: Centre = "none",
    revision: str | None = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    trust_remote_code: bool = False,
    offline: bool = False,
) -> Sentences | Fused:
    """The model of a hub repository or a local folder.

    `instruction_prompt`: how a task's instruction is put before the input, such as "Instruct: {instruction}\nQuery: ";
    without it instructions are ignored. `fusion`, `image_weight`, `centre`: for models of two towers, see FusionPolicy.
    """
    need("sentence_transformers", "encoders")
    policy = FusionPolicy(fusion, image_weight, "" if centre == "none" else centre)
    if instruction_prompt and "{instruction}" not in instruction_prompt:
        raise UserError("--model-arg instruction_prompt has no {instruction} in it")
    found = checkpoints.find(name, revision, offline=offline, with_code=trust_remote_code)
    if not (found.folder / "modules.json").is_file():  # the library would guess at a pooling
        raise UserError(f"{name} holds no modules.json, so it is no sentence-transformers model; see `list models`")
    model = Sentences(found, torch_device(device), precision, instruction_prompt)
    if model.kind != "two towers":
        return model
    return Fused(model, policy if centre == "none" else centred(policy, model))


class Sentences:
    """A SentenceTransformer as an Encoder and, where it embeds images and texts apart, as a TwoTower."""

    limits = Limits(images=16, inputs=64)

    def __init__(self, checkpoint: Checkpoint, device: Any, precision: str, instruction_prompt: str = "") -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(
            str(checkpoint.folder),
            device=str(device),
            trust_remote_code=checkpoint.with_code,
            local_files_only=True,
            model_kwargs={"dtype": torch_dtype(precision)},
        )
        self.model.eval().to(torch_dtype(precision))
        self.kind = _kind(self.model)
        self.instruction_prompt = instruction_prompt
        self.name = f"st:{checkpoint.weights.location}"
        prompts = {role: text for role, text in self.model.prompts.items() if text}
        routed = any(type(module).__name__ == "Router" for module in self.model)
        settings = settings_of(
            device,
            ("sentence-transformers", "transformers", "tokenizers"),
            kind=self.kind,
            text_length=self.model.max_seq_length,
            prompts=", ".join(f"{role}: {text!r}" for role, text in sorted(prompts.items())),
            instruction_prompt=instruction_prompt,
            trust_remote_code=checkpoint.with_code,
        )
        self.info = EncoderInfo(
            name=self.name,
            revision=checkpoint.revision,
            fusion={"texts": "none: texts only", "joint": "early: the model's own"}.get(self.kind, "unknown"),
            instructions="prepended" if instruction_prompt else "ignored",
            roles="used" if prompts or routed else "ignored",
            precision=precision,
            params=sum(parameter.numel() for parameter in self.model.parameters()),
            fingerprint=content_hash([checkpoint.sha256, CODE_VERSION, precision, settings, machine()]),
            weights=checkpoint.weights,
            settings=settings,
        )

    def encode(self, inputs: Sequence[Input], *, role: Role = "query", instruction: str = "") -> np.ndarray:
        """float32 [N, D], as the model gives them. Raises UserError for an image where the model takes texts only."""
        if self.kind == "texts" and (wrong := next((item for item in inputs if item.image is not None), None)):
            raise UserError(
                f"{self.name} embeds texts only, and got an input of {wrong.modality}; leave tasks with images out "
                "(name others with --task), or choose a model that takes images"
            )
        rows: dict[int, np.ndarray] = {}
        for modality in ("text", "image", "image+text"):  # apart: a mixed batch would be put to the model as chats
            indices = [index for index, item in enumerate(inputs) if item.modality == modality]
            vectors = self._embed([self._value(inputs[index]) for index in indices], role, instruction)
            rows.update(zip(indices, vectors, strict=True))
        return np.stack([rows[index] for index in range(len(inputs))])

    def encode_images(self, images: Sequence[ImageRef]) -> np.ndarray:
        """float32 [N, D], not normalised by us."""
        return self._embed([{"image": picture(ref)} for ref in images], "candidate", "")

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, D], not normalised by us."""
        return self._embed([self._value(Input(text)) for text in texts], "query", "")

    def _embed(self, values: list[Any], role: Role, instruction: str) -> np.ndarray:
        if not values:
            return np.zeros((0, 1), np.float32)
        method = self.model.encode_query if role == "query" else self.model.encode_document
        prompt = self.instruction_prompt.replace("{instruction}", instruction) if instruction else None
        output = method(
            values,
            prompt=prompt or None,
            batch_size=self.limits.inputs,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        found: np.ndarray = output.float().cpu().numpy()
        return found

    def _value(self, item: Input) -> Any:
        """What sentence-transformers takes. A model of images would open a bare text that looks like a path or URL."""
        if self.kind == "texts":
            return item.text
        parts = {"text": item.text or None, "image": None if item.image is None else picture(item.image)}
        return {name: value for name, value in parts.items() if value is not None}


def _kind(model: Any) -> str:
    """ "texts", "two towers" (images and texts apart) or "joint" (both as one input)."""
    if not model.supports("image"):
        return "texts"
    return "joint" if model.supports(("image", "text")) or model.supports(("text", "image")) else "two towers"
