"""Models of two blocks, 64 pixels and few ids, registered beside the real ones: for whole runs in tests."""

from __future__ import annotations

from fuselip.model import models, sizes
from fuselip.model.configs import FuseLIPConfig, Fusion, LateFusionConfig
from fuselip.model.models import Model
from fuselip.model.sizes import Towers, TransformerSize

NAME = "fuselip-small"
LATE: dict[str, Fusion] = {"small-sf": "add", "small-mlf": "magiclens"}
CONTEXT = 64


def register() -> FuseLIPConfig:
    """Add the three models to the tables (of this process); the configuration of the first."""
    size = TransformerSize(32, 2, 2)
    sizes.TRANSFORMERS["two-blocks"] = size
    sizes.TOWERS["two-blocks"] = Towers(TransformerSize(48, 3, 2), size, image_side=64, patch=16)
    config = FuseLIPConfig("two-blocks", "grid16", CONTEXT, text_tokenizer="bytes")
    models.MODELS[NAME] = Model(config)
    for name, fusion in LATE.items():
        models.MODELS[name] = Model(LateFusionConfig("two-blocks", fusion, "length", CONTEXT, "bytes"))
    return config


def unregister() -> None:
    del sizes.TRANSFORMERS["two-blocks"], sizes.TOWERS["two-blocks"]
    for name in (NAME, *LATE):
        del models.MODELS[name]
