"""TokLIP's sizes (arXiv 2505.05422) and its config.json. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fuselip.core.errors import UserError
from fuselip.model.sizes import GRIDS, PAD, TEXTS, GridVariant, TransformerSize
from fuselip.model.vq_sizes import VQS, VQVariant

Resize = Literal["crop", "squash"]
TextEnd = Literal["last", "eot"]
MODEL_NAME = "toklip"


@dataclass(frozen=True)
class TokLIPSize:
    """Both towers of one TokLIP. They have one shape; `hidden` is the width inside their MLPs.

    The projector from code vectors is `PROJECTOR_RATIO` as wide as the tower. `resize` is how its pictures are made
    square unless one asks for the other way: the short side to size and the middle cut out, or squashed.
    `tokenizer_repo`: the hub repository with the text tokenizer's files, where it is none of ours.
    `text_end`: where a text is read. "last": at the last position, padding or not, as SigLIP 2's tower is and so the
    published ones are. "eot": at the first EOT with padding masked; this tower is then our late-fusion models'.
    """

    tower: TransformerSize
    hidden: int
    tokenizer: VQVariant | GridVariant
    text_tokenizer: str
    num_text_tokens: int
    resize: Resize
    tokenizer_repo: str = ""
    context_length: int = 64
    text_end: TextEnd = "last"


PROJECTOR_RATIO = 4
_SO400M = TransformerSize(1152, 16, 27)


def _official(tokenizer: VQVariant) -> TokLIPSize:
    repo = f"timm/ViT-SO400M-16-SigLIP2-{tokenizer.side}"
    return TokLIPSize(_SO400M, 4304, tokenizer, "gemma", 256000, "crop", repo)


SIZES: dict[str, TokLIPSize] = {
    "s": _official(VQS["vq16"].at(256)),
    "l": _official(VQS["vq16"].at(384)),
    "xl": _official(VQS["ibq"].at(512)),
    "ti": TokLIPSize(
        TransformerSize(160, 5, 4),
        640,
        GRIDS["grid64"],
        "bytes",
        TEXTS["bytes"].num_tokens,
        "squash",
        text_end="eot",
    ),
}


@dataclass(frozen=True)
class TokLIPConfig:
    """Everything that fixes the shapes of one TokLIP. `with_text`: whether it has its text tower; see `save_vision`."""

    name: str
    with_text: bool = True

    pad_id = PAD

    @property
    def padding(self) -> str:
        """What becomes of a text's padding, in words."""
        return "to full length, unmasked" if self.size.text_end == "last" else "to full length, masked"

    @property
    def size(self) -> TokLIPSize:
        return SIZES[self.name]

    @property
    def variant(self) -> VQVariant | GridVariant:
        """The image tokenizer's shape."""
        return self.size.tokenizer

    @property
    def image_side(self) -> int:
        """Pixels a side of the pictures that the image tokenizer takes."""
        return self.variant.side

    @property
    def num_image_tokens(self) -> int:
        return self.variant.num_latents

    @property
    def code_dim(self) -> int:
        """Channels of a code's vector."""
        return self.variant.code_dim if isinstance(self.variant, VQVariant) else len(self.variant.levels)

    @property
    def num_codes(self) -> int:
        return self.variant.num_codes

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.size.tower.width

    @property
    def context_length(self) -> int:
        """Ids of a text, all of which are always there."""
        return self.size.context_length

    @property
    def text_tokenizer(self) -> str:
        return self.size.text_tokenizer

    @property
    def num_text_tokens(self) -> int:
        return self.size.num_text_tokens

    @property
    def architecture(self) -> str:
        """What a checkpoint must agree in to be this model, in words."""
        return f"TokLIP {self.name!r}: image tokenizer {self.variant.repo!r} at {self.image_side} pixels"

    def to_json(self) -> dict[str, Any]:
        """Our own layout: the published files have no configuration."""
        return {"model_name": MODEL_NAME, "size": self.name, "with_text": self.with_text}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: str = "config.json") -> TokLIPConfig:
        """Read what `to_json` writes. Raises UserError naming the key that is wrong."""
        name, with_text = value.get("size"), value.get("with_text")
        if not isinstance(name, str) or name not in SIZES:
            raise UserError(f"{where}: size is {name!r}; known: {', '.join(SIZES)}")
        if not isinstance(with_text, bool):
            raise UserError(f"{where}: with_text is {with_text!r}; it must be true or false")
        return cls(name, with_text)
