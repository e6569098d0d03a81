"""Which models exist, by the name users type, and their published checkpoints. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.model.configs import Config, FuseLIPConfig
from fuselip.model.image_variants import ImageFeatures
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.toklip_config import TokLIPConfig

TINY_CONTEXT = 128  # a picture's 64 codes and as much text; texts alone may be twice as long
TEXT_ROOM = 64  # tokens of the context that are left beside a picture, at least, where another tokenizer gives more


@dataclass(frozen=True)
class Official:
    """A published training checkpoint: one file of a hub repository, fetched only when asked for (weights "official").

    `licence`: its name; `notice`: what is told before a download.
    """

    repo: str
    file: str
    licence: str
    notice: str


@dataclass(frozen=True)
class Model:
    """A model by the name users type: its configuration and its published checkpoints {weights name: hub repo}."""

    config: Config
    published: Mapping[str, str] = field(default_factory=dict)
    official: Official | None = None


_TOKLIP_LICENCE = "License Terms of TokLIP"


def _toklip(name: str, file: str, gigabytes: float) -> Model:
    repo = "TencentARC/TokLIP"
    notice = (
        f"{repo}/{file} ({gigabytes} GB) is under the {_TOKLIP_LICENCE} (Tencent; https://github.com/TencentARC/TokLIP/"
        "blob/main/LICENSE), which say that TokLIP is not intended for use within the European Union, and name "
        "third-party parts under terms of their own. Read them; to go on with this download is to use it under them."
    )
    return Model(TokLIPConfig(name), official=Official(repo, file, _TOKLIP_LICENCE, notice))


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
    "fuselip-ti": Model(FuseLIPConfig("ti", "grid64", TINY_CONTEXT, text_tokenizer="bytes")),
    "siglip-ti-sf": Model(LateFusionConfig("ViT-Ti-8-64", "add", "length", TINY_CONTEXT, "bytes")),
    "siglip-ti-mlf": Model(LateFusionConfig("ViT-Ti-8-64", "magiclens", "length", TINY_CONTEXT, "bytes")),
    "fuselip-b-scenes": Model(FuseLIPConfig("base", "grid64", TINY_CONTEXT, text_tokenizer="bytes")),
    "toklip-s": _toklip("s", "TokLIP_S_256.pt", 8.31),
    "toklip-l": _toklip("l", "TokLIP_L_384.pt", 8.31),
    "toklip-xl": _toklip("xl", "TokLIP_XL_512.pt", 9.44),
    "toklip-ti": Model(TokLIPConfig("ti")),
}


def model_of(name: str) -> Model:
    """The model of that name, or MODEL+TOKENIZER[:FEATURES][:TOKENS], a FuseLIP with another image tokenizer.

    fuselip-s+ta-bl128, fuselip-ti+grid64-siglip:both, fuselip-s+onedpiece-s:32: see `FuseLIPConfig.image_features` and
    `image_tokens`. Raises UsageError with the nearest name for an unknown one, and for what does not go together.
    """
    base, plus, other = name.partition("+")
    if plus:
        return _with_tokenizer(name, model_of(base).config, other.split(":"))
    try:
        return MODELS[name]
    except KeyError:
        raise UsageError(f"unknown model {name!r}{did_you_mean(name, MODELS)}; known: {', '.join(MODELS)}") from None


def _with_tokenizer(name: str, base: Config, parts: Sequence[str]) -> Model:
    if not isinstance(base, FuseLIPConfig):
        raise UsageError(f"{name!r}: late fusion looks at pixels; only a FuseLIP takes another image tokenizer")
    tokenizer, *options = parts
    features = [each for each in get_args(ImageFeatures) if each in options]
    counts = [each for each in options if each.isdecimal()]
    if len(features) > 1 or len(counts) > 1 or len(features) + len(counts) < len(options):
        raise UsageError(
            f"{name!r} is not MODEL+TOKENIZER[:FEATURES][:TOKENS]; features: {', '.join(get_args(ImageFeatures))}"
        )
    config = replace(
        base,
        image_tokenizer=tokenizer,
        image_features=features[0] if features else "ids",
        image_tokens=int(counts[0]) if counts else 0,
    )
    return Model(replace(config, context_length=max(base.context_length, config.num_image_tokens + TEXT_ROOM)))
