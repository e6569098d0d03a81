"""Which models exist, by the name users type, and their published checkpoints. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.model.configs import Config, FuseLIPConfig, LateFusionConfig

TINY_CONTEXT = 128  # a picture's 64 codes and as much text; texts alone may be twice as long


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
    "fuselip-ti": Model(FuseLIPConfig("ti", "grid64", TINY_CONTEXT, text_tokenizer="bytes")),
    "siglip-ti-sf": Model(LateFusionConfig("ViT-Ti-8-64", "add", "length", TINY_CONTEXT, "bytes")),
    "siglip-ti-mlf": Model(LateFusionConfig("ViT-Ti-8-64", "magiclens", "length", TINY_CONTEXT, "bytes")),
}


def model_of(name: str) -> Model:
    """The model of that name. Raises UsageError with the nearest name for an unknown one."""
    try:
        return MODELS[name]
    except KeyError:
        raise UsageError(f"unknown model {name!r}{did_you_mean(name, MODELS)}; known: {', '.join(MODELS)}") from None
