"""Which models exist: sizes, image tokenizers, published checkpoints, one model's configuration. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean

IMAGE_SIZE = 256
PATCH_SIZE = 16
NUM_PATCHES = (IMAGE_SIZE // PATCH_SIZE) ** 2
MLP_RATIO = 4

# Token layout: text ids, then [MASK], then image codes.
PAD, SOT, EOT, MASK = 0, 49406, 49407, 49408
NUM_TEXT_TOKENS = 49408
CONTEXT_LENGTH = 180
MAX_CONTEXT_LENGTH = 4096


@dataclass(frozen=True)
class TransformerSize:
    """Width (hidden channels), attention heads and blocks of one transformer."""

    width: int
    heads: int
    layers: int


@dataclass(frozen=True)
class TiTokVariant:
    """One published TiTok encoder (arXiv 2406.07550): its transformer, latent tokens, codebook and two conventions.

    `normalise`: latents and codes are L2-normalised before the nearest code is looked up.
    `legacy`: the latents are reshaped, not transposed, before the last projection (see `titok`).
    """

    size: TransformerSize
    num_latents: int
    num_codes: int
    code_dim: int
    normalise: bool
    legacy: bool
    repo: str


TRANSFORMERS: dict[str, TransformerSize] = {
    "small": TransformerSize(384, 6, 12),
    "base": TransformerSize(512, 8, 12),
    "large": TransformerSize(768, 12, 12),
}

_TITOK_SMALL, _TITOK_BASE, _TITOK_LARGE = (
    TransformerSize(512, 8, 8),
    TransformerSize(768, 12, 12),
    TransformerSize(1024, 16, 24),
)
_TITOK_REPO = "yucornetto/tokenizer_titok_{}_imagenet"

TITOKS: dict[str, TiTokVariant] = {
    "s128": TiTokVariant(_TITOK_SMALL, 128, 4096, 12, True, True, _TITOK_REPO.format("s128")),
    "b64": TiTokVariant(_TITOK_BASE, 64, 4096, 12, True, True, _TITOK_REPO.format("b64")),
    "l32": TiTokVariant(_TITOK_LARGE, 32, 4096, 12, True, True, _TITOK_REPO.format("l32")),
    "bl64": TiTokVariant(_TITOK_BASE, 64, 8192, 64, False, False, _TITOK_REPO.format("bl64_vq8k")),
    "bl128": TiTokVariant(_TITOK_BASE, 128, 8192, 64, False, False, _TITOK_REPO.format("bl128_vq8k")),
    "sl256": TiTokVariant(_TITOK_SMALL, 256, 8192, 64, False, False, _TITOK_REPO.format("sl256_vq8k")),
}


@dataclass(frozen=True)
class Towers:
    """The two towers of a late-fusion baseline. Their shared embedding is as wide as the text tower."""

    image: TransformerSize
    text: TransformerSize


TOWERS: dict[str, Towers] = {  # by the names that the paper's code gives them
    "ViT-S-16-256-180-mask": Towers(TRANSFORMERS["small"], TRANSFORMERS["small"]),
    "ViT-B-16-256-180-mask": Towers(TransformerSize(768, 12, 12), TRANSFORMERS["base"]),
}
MLF_LAYERS = 4  # blocks over the two tokens [image, text]

Padding = Literal["length", "id"]
Fusion = Literal["add", "magiclens"]


@dataclass(frozen=True)
class FuseLIPConfig:
    """Everything that fixes the shapes and conventions of one FuseLIP model.

    `padding`: what counts as padding in attention. "length": the positions after a sequence's end (our models).
    "id": every position with id 0, as the official checkpoints were trained; a text such as "!$" holds that id
    inside, and those positions are then not attended to.
    """

    transformer: str
    image_tokenizer: str
    context_length: int = CONTEXT_LENGTH
    mask_token: bool = True
    mlm_probability: float = 0.1
    padding: Padding = "length"

    @property
    def size(self) -> TransformerSize:
        return TRANSFORMERS[self.transformer]

    @property
    def titok(self) -> TiTokVariant:
        return TITOKS[self.image_tokenizer]

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.size.width

    @property
    def architecture(self) -> str:
        """What a checkpoint must agree in to be this model, in words."""
        return f"transformer {self.transformer!r} with image tokenizer {self.image_tokenizer!r}"

    @property
    def image_offset(self) -> int:
        """Image code c has token id c + image_offset."""
        return NUM_TEXT_TOKENS + self.mask_token

    @property
    def vocab_size(self) -> int:
        return self.image_offset + self.titok.num_codes

    def to_json(self) -> dict[str, Any]:
        """As the official config.json; the key "padding" is ours and is left out where it says what theirs implies."""
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
            "image_tokenizer": self.titok.repo,
            "use_eoi": False,
            "context_length": self.context_length,
            "transformer_size": self.transformer,
            "mlm_probability": self.mlm_probability,
            "rand_repl_probability": 0.0,
        } | ({"padding": "length"} if self.padding == "length" else {})

    @classmethod
    def from_json(cls, value: Any, where: str = "config.json") -> FuseLIPConfig:
        """Read an official config.json, or ours. Raises UserError naming the key that is wrong."""
        if not isinstance(value, dict) or value.get("model_name") != _MODEL_NAME:
            found = value.get("model_name") if isinstance(value, dict) else type(value).__name__
            raise UserError(
                f"{where} is not the configuration of a model of ours: model_name is {found!r}, and neither "
                f"{_MODEL_NAME!r} (FuseLIP) nor {_LATE_NAME!r} (a late-fusion baseline)"
            )
        _require(value, {"mask_pad": True, "use_eoi": False}, where)
        transformer = _choice(value, "transformer_size", {name: name for name in TRANSFORMERS}, where)
        tokenizer = _choice(value, "image_tokenizer", {variant.repo: name for name, variant in TITOKS.items()}, where)
        padding = _choice({"padding": "id"} | value, "padding", _PADDINGS, where)
        context_length = _number(value, "context_length", TITOKS[tokenizer].num_latents + 2, MAX_CONTEXT_LENGTH, where)
        mlm_probability = float(_number(value, "mlm_probability", 0, 1, where))
        text = value.get("text_config")
        if not isinstance(text, dict | None):
            raise UserError(f"{where}: text_config is a {type(text).__name__}, not a table")
        # A re-saved official model says mlm_probability 0.0 and still has [MASK]: the vocabulary tells the truth.
        with_mask = cls(transformer, tokenizer, int(context_length), True, mlm_probability, padding)  # type: ignore[arg-type]
        mask_token = text.get("vocab_size") == with_mask.vocab_size if text else mlm_probability > 0
        config = cls(transformer, tokenizer, int(context_length), mask_token, mlm_probability, padding)  # type: ignore[arg-type]
        if text:
            expected = config.to_json()["text_config"]
            _require(text, {key: expected[key] for key in text if key in expected}, f"{where}, text_config")
        return config


@dataclass(frozen=True)
class LateFusionConfig:
    """Everything that fixes the shapes and conventions of one of the paper's late-fusion baselines.

    `fusion`: "add" (SF: the normalised tower outputs are added) or "magiclens" (MLF: a small transformer joins them).
    `padding`: as for FuseLIPConfig; "id" is what the paper's code does, so what a checkpoint trained with it needs.
    """

    towers: str
    fusion: Fusion
    padding: Padding = "length"
    context_length: int = CONTEXT_LENGTH

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
        return f"towers {self.towers!r} with fusion {self.fusion!r}"

    def to_json(self) -> dict[str, Any]:
        """Our own layout, all of it required: the paper's code publishes no configuration of these models."""
        return {
            "model_name": _LATE_NAME,
            "towers": self.towers,
            "fusion": self.fusion,
            "padding": self.padding,
            "context_length": self.context_length,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: str = "config.json") -> LateFusionConfig:
        """Read what `to_json` writes. Raises UserError naming the key that is wrong."""
        towers = _choice(value, "towers", {name: name for name in TOWERS}, where)
        fusion = _choice(value, "fusion", {"add": "add", "magiclens": "magiclens"}, where)
        padding = _choice(value, "padding", _PADDINGS, where)
        context_length = int(_number(value, "context_length", 2, MAX_CONTEXT_LENGTH, where))
        return cls(towers, fusion, padding, context_length)  # type: ignore[arg-type]


_MODEL_NAME, _LATE_NAME = "fuse-clip-titok", "fuselip-late-fusion"
_PADDINGS = {"id": "id", "length": "length"}

Config = FuseLIPConfig | LateFusionConfig


def config_from_json(value: Any, where: str = "config.json") -> Config:
    """The configuration that a config.json holds, of either kind. Raises UserError naming the key that is wrong."""
    if isinstance(value, dict) and value.get("model_name") == _LATE_NAME:
        return LateFusionConfig.from_json(value, where)
    return FuseLIPConfig.from_json(value, where)


@dataclass(frozen=True)
class Model:
    """A model by the name users type: its configuration and its published checkpoints {weights name: hub repo}."""

    config: Config
    published: Mapping[str, str] = field(default_factory=dict)


# Weights names are in order of preference: `auto` downloads the first one.
MODELS: dict[str, Model] = {
    "fuselip-s": Model(
        FuseLIPConfig("small", "s128"),
        {"cc12m-mm": "chs20/FuseLIP-S-CC12M-MM", "cc3m-mm": "chs20/FuseLIP-S-CC3M-MM"},
    ),
    "fuselip-b": Model(
        FuseLIPConfig("base", "bl128"),
        {"cc12m-mm": "chs20/FuseLIP-B-CC12M-MM", "cc3m-mm": "chs20/FuseLIP-B-CC3M-MM"},
    ),
    "siglip-s-sf": Model(LateFusionConfig("ViT-S-16-256-180-mask", "add")),
    "siglip-s-mlf": Model(LateFusionConfig("ViT-S-16-256-180-mask", "magiclens")),
    "siglip-b-sf": Model(LateFusionConfig("ViT-B-16-256-180-mask", "add")),
    "siglip-b-mlf": Model(LateFusionConfig("ViT-B-16-256-180-mask", "magiclens")),
}


def model_of(name: str) -> Model:
    """The model of that name. Raises UsageError with the nearest name for an unknown one."""
    try:
        return MODELS[name]
    except KeyError:
        raise UsageError(f"unknown model {name!r}{did_you_mean(name, MODELS)}; known: {', '.join(MODELS)}") from None


def _choice(value: Mapping[str, Any], key: str, allowed: Mapping[str, str], where: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or found not in allowed:
        raise UserError(f"{where}: {key} is {found!r}; known: {', '.join(allowed)}")
    return allowed[found]


def _number(value: Mapping[str, Any], key: str, low: int, high: int, where: str) -> float:
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        raise UserError(f"{where}: {key} is {found!r}; it must be a number from {low} to {high}")
    return found


def _require(value: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    for key, wanted in expected.items():
        if value.get(key) != wanted:
            raise UserError(f"{where}: {key} is {value.get(key)!r}, and this model needs {wanted!r}")
