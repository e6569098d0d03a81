"""Models of two blocks, 64 pixels and few ids, registered beside the real ones: for whole runs in tests."""

from __future__ import annotations

from fuselip.model import models, sizes
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.late_fusion_config import Fusion, LateFusionConfig
from fuselip.model.models import Model
from fuselip.model.sizes import GRIDS, TEXTS, Towers, TransformerSize
from fuselip.model.toklip_config import SIZES, TokLIPConfig, TokLIPSize

NAME = "fuselip-small"
LATE: dict[str, Fusion] = {"small-sf": "add", "small-mlf": "magiclens"}
TOKLIP, TEACHER = "toklip-small", "small-teacher"  # with towers of one shape
CONTEXT = 64


def register() -> FuseLIPConfig:
    """Add the models to the tables (of this process); the configuration of the first."""
    size = TransformerSize(32, 2, 2)
    sizes.TRANSFORMERS["two-blocks"] = size
    sizes.TOWERS["two-blocks"] = Towers(TransformerSize(48, 3, 2), size, image_side=64, patch=16)
    config = FuseLIPConfig("two-blocks", "grid16", CONTEXT, text_tokenizer="bytes")
    models.MODELS[NAME] = Model(config)
    for name, fusion in LATE.items():
        models.MODELS[name] = Model(LateFusionConfig("two-blocks", fusion, "length", CONTEXT, "bytes"))
    sizes.TOWERS["two-blocks-alike"] = Towers(size, size, image_side=64, patch=16)
    models.MODELS[TEACHER] = Model(LateFusionConfig("two-blocks-alike", "add", "length", CONTEXT, "bytes"))
    texts = TEXTS["bytes"].num_tokens
    SIZES["small"] = TokLIPSize(size, 128, GRIDS["grid16"], "bytes", texts, "squash", text_end="eot")
    models.MODELS[TOKLIP] = Model(TokLIPConfig("small"))
    return config


def unregister() -> None:
    del sizes.TRANSFORMERS["two-blocks"], sizes.TOWERS["two-blocks"], sizes.TOWERS["two-blocks-alike"], SIZES["small"]
    for name in (NAME, *LATE, TOKLIP, TEACHER):
        del models.MODELS[name]
