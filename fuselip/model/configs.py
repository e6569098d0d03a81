"""One model's configuration and its config.json. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from fuselip.core.errors import UsageError, UserError
from fuselip.model.config_reading import choice, number, require
from fuselip.model.image_variants import ImageFeatures, ImageVariant, image_variants, misfit, vector_dim
from fuselip.model.late_fusion_config import MODEL_NAME as LATE_NAME
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.sizes import (
    CONTEXT_LENGTH,
    IMAGE_SIZE,
    MAX_CONTEXT_LENGTH,
    MLP_RATIO,
    PAD,
    TRANSFORMERS,
    TransformerSize,
)
from fuselip.model.text_config import PADDINGS, TEXT_TOKENIZERS, Padding, TextConfig
from fuselip.model.toklip_config import MODEL_NAME as TOKLIP_NAME
from fuselip.model.toklip_config import TokLIPConfig


@dataclass(frozen=True)
class FuseLIPConfig(TextConfig):
    """Everything that fixes the shapes and conventions of one FuseLIP model.

    `padding`: what counts as padding in attention. "length": the positions after a sequence's end (our models).
    "id": every position with id 0, as the official checkpoints were trained; a text such as "!$" holds that id
    inside, and those positions are then not attended to.
    `image_features`: what stands for a part of a picture: the embedding of its id, its vector from the image tokenizer
    through a projection, or their sum. `image_tokens`: codes of a picture where less than the tokenizer gives (0: all);
    the first ones, of a tokenizer that was trained to have its tail dropped.
    `join`: the block from which image and text tokens attend to each other; before it each kind keeps to itself (0:
    early fusion, as published).
    Raises UsageError for features or a number of tokens that the image tokenizer does not give, and for a `join` that
    is no block's number.
    """

    transformer: str
    image_tokenizer: str
    context_length: int = CONTEXT_LENGTH
    mask_token: bool = True
    mlm_probability: float = 0.1
    padding: Padding = "length"
    text_tokenizer: str = "clip"
    image_features: ImageFeatures = "ids"
    image_tokens: int = 0
    join: int = 0

    def __post_init__(self) -> None:
        if wrong := misfit(self.image_tokenizer, self.image_features, self.image_tokens):
            raise UsageError(wrong)
        if self.join and not 0 <= self.join < self.size.layers:
            raise UsageError(
                f"join is {self.join}, and the transformer {self.transformer!r} has the blocks 0 to "
                f"{self.size.layers - 1}"
            )

    @property
    def size(self) -> TransformerSize:
        return TRANSFORMERS[self.transformer]

    @property
    def variant(self) -> ImageVariant:
        """The image tokenizer's shape."""
        return image_variants()[self.image_tokenizer]

    @property
    def image_side(self) -> int:
        """Pixels a side of the pictures that the image tokenizer takes."""
        return self.variant.side

    @property
    def num_image_tokens(self) -> int:
        """Codes of one picture."""
        return self.image_tokens or self.variant.num_latents

    @property
    def vector_dim(self) -> int:
        """Channels of the vectors that the model reads; 0 where it reads ids alone."""
        return 0 if self.image_features == "ids" else vector_dim(self.variant)

    @property
    def has_ids(self) -> bool:
        """Whether the image tokenizer has a codebook, so that hidden parts of a picture can be guessed."""
        return self.num_codes > 1

    @property
    def num_codes(self) -> int:
        """Size of the image tokenizer's codebook."""
        return self.variant.num_codes

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.size.width

    @property
    def architecture(self) -> str:
        """What a checkpoint must agree in to be this model, in words."""
        text = "" if self.text_tokenizer == "clip" else f" and text tokenizer {self.text_tokenizer!r}"
        features = "" if self.image_features == "ids" else f", image features {self.image_features!r}"
        count = f", {self.image_tokens} image tokens" if self.image_tokens else ""
        join = f", joined from block {self.join} on" if self.join else ""
        tokenizer = f"image tokenizer {self.image_tokenizer!r}"
        return f"transformer {self.transformer!r} with {tokenizer}{text}{features}{count}{join}"

    @property
    def mask_id(self) -> int:
        """[MASK]; only where `mask_token`, else the first image token."""
        return self.num_text_tokens

    @property
    def image_offset(self) -> int:
        """Image code c has token id c + image_offset."""
        return self.num_text_tokens + self.mask_token

    @property
    def vocab_size(self) -> int:
        return self.image_offset + self.num_codes

    def to_json(self) -> dict[str, Any]:
        """As the official config.json; the keys "padding", "text_tokenizer", "image_side", "image_features",
        "image_tokens" and "join" are ours, and are left out where they say what theirs implies.
        """
        return {
            "model_name": _MODEL_NAME,
            "text_config": {
                "context_length": self.context_length,
                "vocab_size": self.vocab_size,
                "width": self.size.width,
                "heads": self.size.heads,
                "layers": self.size.layers,
                "mlp_ratio": float(MLP_RATIO),
                "ls_init_value": None,
                "no_causal_mask": True,
                "pad_id": PAD,
                "proj_bias": False,
                "output_tokens": False,
                "pool_type": "eot",
            },
            "mask_pad": True,
            "image_tokenizer": self.variant.repo,
            "use_eoi": False,
            "context_length": self.context_length,
            "transformer_size": self.transformer,
            "mlm_probability": self.mlm_probability,
            "rand_repl_probability": 0.0,
        } | self._ours()

    def _ours(self) -> dict[str, Any]:
        """What the official layout has no key for, where it is not what that layout implies."""
        ours: dict[str, Any] = {} if self.padding == "id" else {"padding": self.padding}
        if self.text_tokenizer != "clip":
            ours["text_tokenizer"] = self.text_tokenizer
        if self.image_features != "ids":
            ours["image_features"] = self.image_features
        if self.image_tokens:
            ours["image_tokens"] = self.image_tokens
        if self.join:
            ours["join"] = self.join
        return ours if self.image_side == IMAGE_SIZE else ours | {"image_side": self.image_side}

    @classmethod
    def from_json(cls, value: Any, where: str = "config.json") -> FuseLIPConfig:
        """Read an official config.json, or ours. Raises UserError naming the key that is wrong."""
        if not isinstance(value, dict) or value.get("model_name") != _MODEL_NAME:
            found = value.get("model_name") if isinstance(value, dict) else type(value).__name__
            raise UserError(
                f"{where} is not the configuration of a model of ours: model_name is {found!r}, and neither "
                f"{_MODEL_NAME!r} (FuseLIP) nor {LATE_NAME!r} (a late-fusion baseline) nor {TOKLIP_NAME!r}"
            )
        require(value, {"mask_pad": True, "use_eoi": False}, where)
        transformer = choice(value, "transformer_size", {name: name for name in TRANSFORMERS}, where)
        tokenizer = choice(value, "image_tokenizer", _image_tokenizers(), where)
        text_tokenizer = choice({"text_tokenizer": "clip", **value}, "text_tokenizer", TEXT_TOKENIZERS, where)
        padding = choice({"padding": "id"} | value, "padding", PADDINGS, where)
        features = choice({"image_features": "ids"} | value, "image_features", _FEATURES, where)
        variant = image_variants()[tokenizer]
        count = int(number({"image_tokens": 0} | value, "image_tokens", 0, variant.num_latents, where))
        taken = count or variant.num_latents
        join = int(number({"join": 0} | value, "join", 0, TRANSFORMERS[transformer].layers - 1, where))
        context_length = int(number(value, "context_length", taken + 2, MAX_CONTEXT_LENGTH, where))
        mlm_probability = float(number(value, "mlm_probability", 0, 1, where))
        text = value.get("text_config")
        if not isinstance(text, dict | None):
            raise UserError(f"{where}: text_config is a {type(text).__name__}, not a table")
        # A re-saved official model says mlm_probability 0.0 and still has [MASK]: the vocabulary tells the truth.
        try:
            with_mask = cls(
                transformer,
                tokenizer,
                context_length,
                True,
                mlm_probability,
                padding,
                text_tokenizer,
                features,
                count,
                join,
            )
        except UsageError as error:
            raise UserError(f"{where}: {error}") from error
        mask_token = text.get("vocab_size") == with_mask.vocab_size if text else mlm_probability > 0
        config = replace(with_mask, mask_token=mask_token)
        require({"image_side": config.image_side} | value, {"image_side": config.image_side}, where)
        if text:
            expected = config.to_json()["text_config"]
            require(text, {key: expected[key] for key in text if key in expected}, f"{where}, text_config")
        return config


_MODEL_NAME = "fuse-clip-titok"
_FEATURES: Mapping[str, ImageFeatures] = {name: name for name in get_args(ImageFeatures)}

Config = FuseLIPConfig | LateFusionConfig | TokLIPConfig


def config_from_json(value: Any, where: str = "config.json") -> Config:
    """The configuration that a config.json holds, of any kind. Raises UserError naming the key that is wrong."""
    if isinstance(value, dict) and value.get("model_name") == LATE_NAME:
        return LateFusionConfig.from_json(value, where)
    if isinstance(value, dict) and value.get("model_name") == TOKLIP_NAME:
        return TokLIPConfig.from_json(value, where)
    return FuseLIPConfig.from_json(value, where)


def _image_tokenizers() -> dict[str, str]:
    """Our name of each image tokenizer by the one it has in a config.json."""
    return {variant.repo: name for name, variant in image_variants().items()}
