"""Vision-language models as encoders: one prompt of instruction, image and text; the last token's state is the vector.

The way of VLM2Vec (arXiv 2410.05160), GME (arXiv 2412.16855) and Qwen3-VL-Embedding (arXiv 2601.04720). The prompt
presets are theirs, see PRESETS; "plain" is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.encoders import checkpoint as checkpoints
from benchmarks.encoders.checkpoint import Checkpoint
from benchmarks.encoders.image_pads import ImagePads
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
from fuselip.core.types import Input, content_hash

CODE_VERSION = 1
PresetName = Literal["qwen", "gme", "vlm2vec", "plain"]
CHAT = "<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{image}{text}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class Preset:
    """A prompt with places for {instruction}, {image} and {text}, and the instruction where the task gives none."""

    prompt: str
    image: str = ""
    text: str = ""
    pair: str = ""

    def default(self, item: Input) -> str:
        return {"image": self.image, "text": self.text, "image+text": self.pair}[item.modality]


PRESETS: dict[str, Preset] = {
    "qwen": Preset(CHAT, *["Represent the user's input."] * 3),
    "gme": Preset(CHAT + "<|endoftext|>", *["You are a helpful assistant."] * 3),
    "vlm2vec": Preset(
        "{image} {instruction} {text}",
        "Represent the given image.",
        "",
        "Represent the given image with the following question:",
    ),
    "plain": Preset("{image} {instruction} {text}"),
}


def load(
    name: str,
    *,
    preset: PresetName = "plain",
    placeholder: str = "",
    max_text_tokens: int = 1024,
    revision: str | None = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    trust_remote_code: bool = False,
    offline: bool = False,
) -> LastToken:
    """The model of a hub repository or a local folder.

    `placeholder`: what stands for an image in the prompt (default: the processor's own). `max_text_tokens`: texts are
    cut to it before they enter the prompt, which itself stays whole. Raises UserError for a model of another kind.
    """
    need("transformers", "transformers")
    found = checkpoints.find(name, revision, offline=offline, with_code=trust_remote_code)
    return LastToken(found, torch_device(device), precision, preset, placeholder, max_text_tokens)


class LastToken:
    """A transformers model for image and text to text, without its head."""

    limits = Limits(images=4, inputs=16)

    def __init__(
        self, checkpoint: Checkpoint, device: Any, precision: str, preset: str, placeholder: str, max_text_tokens: int
    ) -> None:
        from transformers import AutoConfig, AutoModelForImageTextToText

        options = {"local_files_only": True, "trust_remote_code": checkpoint.with_code}
        config = AutoConfig.from_pretrained(checkpoint.folder, **options)
        if type(config) not in AutoModelForImageTextToText._model_mapping and not checkpoint.with_code:
            raise UserError(
                f"{checkpoint.name} is a {config.model_type} model, which transformers does not list among those for "
                "image and text to text; see `list models` for other prefixes"
            )
        self.device, self.dtype = device, torch_dtype(precision)
        self.model = checkpoints.load_whole(AutoModelForImageTextToText, checkpoint, self.dtype).to(device)
        self.processor = _processor(checkpoint, config.model_type, options)
        self.tokenizer = self.processor.tokenizer
        # The states of a causal model do not depend on what stands to their right.
        self.tokenizer.padding_side = "right"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.preset = PRESETS[preset]
        self.placeholder = placeholder or getattr(self.processor, "placeholder", self.processor.image_token)
        self.max_text_tokens = max_text_tokens
        self._special = sorted({*self.tokenizer.all_special_tokens, self.processor.image_token}, key=len, reverse=True)
        settings = settings_of(
            device,
            ("transformers", "tokenizers"),
            model_type=config.model_type,
            image_processor=type(self.processor.image_processor).__name__,
            preset=preset,
            placeholder=self.placeholder,
            max_text_tokens=max_text_tokens,
            trust_remote_code=checkpoint.with_code,
        )
        self.info = EncoderInfo(
            name=f"vlm:{checkpoint.weights.location}",
            revision=checkpoint.revision,
            fusion="early: one prompt",
            instructions="native",
            roles="ignored",
            precision=precision,
            params=sum(parameter.numel() for parameter in self.model.parameters()),
            fingerprint=content_hash([checkpoint.sha256, CODE_VERSION, precision, settings, machine()]),
            weights=checkpoint.weights,
            settings=settings,
        )

    def encode(self, inputs: Sequence[Input], *, instruction: str = "") -> np.ndarray:
        """Unit vectors float32 [N, D], in order."""
        import torch
        from torch.nn import functional as F

        pictures = [picture(item.image) for item in inputs if item.image is not None]
        prompts = [self.prompt(item, instruction) for item in inputs]
        made = self.processor(text=prompts, images=pictures or None, padding=True, return_tensors="pt")
        tensors = to_device(made, self.device, self.dtype)
        with torch.inference_mode():
            states_NTD = self._states(tensors)
            last = last_positions(tensors["attention_mask"])
            vectors = states_NTD[torch.arange(len(last), device=last.device), last].float()
            found: np.ndarray = F.normalize(vectors, dim=-1).cpu().numpy()
        return found

    def prompt(self, item: Input, instruction: str) -> str:
        """The whole prompt of one input, with a placeholder for its image."""
        parts = {
            "instruction": self._plain(instruction) or self.preset.default(item),
            "image": self.placeholder if item.image is not None else "",
            "text": self._cut(self._plain(item.text)),
        }
        prompt = self.preset.prompt
        if prompt.startswith("{image} "):  # parts in a row: no blanks for those that are missing
            return " ".join(part for part in (parts["image"], parts["instruction"], parts["text"]) if part) or " "
        before, _, rest = prompt.partition("{instruction}")
        between, _, rest = rest.partition("{image}")
        _, _, after = rest.partition("{text}")
        return before + parts["instruction"] + between + parts["image"] + parts["text"] + after

    def _plain(self, text: str) -> str:
        """Names of control tokens broken up: a text must not be able to end its turn, or to announce an image."""
        for token in self._special:
            if token.strip():
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def _cut(self, text: str) -> str:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) <= self.max_text_tokens:
            return text
        return str(self.tokenizer.decode(ids[: self.max_text_tokens]))

    def _states(self, tensors: dict[str, Any]) -> Any:
        """The last layer's states after the final norm, [N, T, D]; without the head where the model allows it."""
        base = self.model.base_model
        if base is not self.model:
            return base(**tensors, use_cache=False).last_hidden_state
        return self.model(**tensors, use_cache=False, output_hidden_states=True).hidden_states[-1]


def last_positions(mask_NT: Any) -> Any:
    """int64 [N]: where each row's last token stands, whichever side the padding is on."""
    length: int = mask_NT.shape[1]
    return length - 1 - mask_NT.flip(1).argmax(dim=1)


def _processor(checkpoint: Checkpoint, model_type: str, options: dict[str, Any]) -> Any:
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

    if model_type in ImagePads.MODEL_TYPES:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, **options)
        return ImagePads(AutoImageProcessor.from_pretrained(checkpoint.folder, backend="pil", **options), tokenizer)
    try:
        return AutoProcessor.from_pretrained(checkpoint.folder, **options)
    except ImportError as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"the processor of {checkpoint.name} cannot be made here: {said}") from error
