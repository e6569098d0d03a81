"""The configuration of one late-fusion baseline and its config.json. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fuselip.model.config_reading import choice, number
from fuselip.model.sizes import CONTEXT_LENGTH, MAX_CONTEXT_LENGTH, TOWERS, Towers
from fuselip.model.text_config import PADDINGS, TEXT_TOKENIZERS, Padding, TextConfig

Fusion = Literal["add", "magiclens"]
MODEL_NAME = "fuselip-late-fusion"
_FUSIONS: Mapping[str, Fusion] = {"add": "add", "magiclens": "magiclens"}


@dataclass(frozen=True)
class LateFusionConfig(TextConfig):
    """Everything that fixes the shapes and conventions of one of the paper's late-fusion baselines.

    `fusion`: "add" (SF: the normalised tower outputs are added) or "magiclens" (MLF: a small transformer joins them).
    `padding`: as for FuseLIPConfig; "id" is what the paper's code does, so what a checkpoint trained with it needs.
    """

    towers: str
    fusion: Fusion
    padding: Padding = "length"
    context_length: int = CONTEXT_LENGTH
    text_tokenizer: str = "clip"

    @property
    def sizes(self) -> Towers:
        return TOWERS[self.towers]

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.sizes.text.width

    @property
    def architecture(self) -> str:
        """What a checkpoint must agree in to be this model, in words."""
        text = "" if self.text_tokenizer == "clip" else f" and text tokenizer {self.text_tokenizer!r}"
        return f"towers {self.towers!r} with fusion {self.fusion!r}{text}"

    @property
    def image_side(self) -> int:
        """Pixels a side of the pictures that the image tower takes."""
        return self.sizes.image_side

    @property
    def mask_id(self) -> int:
        """There is none: the first id past the vocabulary, as in a FuseLIP without one."""
        return self.num_text_tokens

    @property
    def vocab_size(self) -> int:
        """Text ids alone: the image tower looks at pixels, and has neither codes nor image tokens."""
        return self.num_text_tokens

    image_offset = vocab_size
    num_image_tokens = 0
    num_codes = 0

    def to_json(self) -> dict[str, Any]:
        """Our own layout, all of it required: the paper's code publishes no configuration of these models."""
        return {
            "model_name": MODEL_NAME,
            "towers": self.towers,
            "fusion": self.fusion,
            "padding": self.padding,
            "context_length": self.context_length,
        } | ({} if self.text_tokenizer == "clip" else {"text_tokenizer": self.text_tokenizer})

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: str = "config.json") -> LateFusionConfig:
        """Read what `to_json` writes. Raises UserError naming the key that is wrong."""
        towers = choice(value, "towers", {name: name for name in TOWERS}, where)
        fusion = choice(value, "fusion", _FUSIONS, where)
        padding = choice(value, "padding", PADDINGS, where)
        context_length = int(number(value, "context_length", 2, MAX_CONTEXT_LENGTH, where))
        text = choice({"text_tokenizer": "clip", **value}, "text_tokenizer", TEXT_TOKENIZERS, where)
        return cls(towers, fusion, padding, context_length, text)
