"""Models small enough for every test, registered beside the real ones: width 32, 8 image tokens, 64 codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from fuselip.model import models, sizes
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.late_fusion_config import Fusion, LateFusionConfig
from fuselip.model.models import Model
from fuselip.model.sizes import TiTokVariant, Towers, TransformerSize

NAME = "fuselip-tiny"
LATE_TINY: dict[str, Fusion] = {"tiny-sf": "add", "tiny-mlf": "magiclens"}
REPOS = {"cc12m-mm": "owner/tiny-cc12m", "cc3m-mm": "owner/tiny-cc3m"}


def register() -> FuseLIPConfig:
    """Add "fuselip-tiny" to the tables (of this process) and return its configuration."""
    size = TransformerSize(32, 2, 2)
    sizes.TRANSFORMERS["tiny"] = size
    sizes.TITOKS["tiny"] = TiTokVariant(size, 8, 64, 4, True, True, "owner/titok-tiny")
    config = FuseLIPConfig("tiny", "tiny")
    models.MODELS[NAME] = Model(config, REPOS)
    return config


def unregister() -> None:
    del sizes.TRANSFORMERS["tiny"], sizes.TITOKS["tiny"], models.MODELS[NAME]


def register_late() -> None:
    """Add late-fusion models of both kinds, whose towers differ in width."""
    sizes.TOWERS["tiny"] = Towers(TransformerSize(48, 3, 2), TransformerSize(32, 2, 2))
    for name, fusion in LATE_TINY.items():
        models.MODELS[name] = Model(LateFusionConfig("tiny", fusion))


def unregister_late() -> None:
    del sizes.TOWERS["tiny"]
    for name in LATE_TINY:
        del models.MODELS[name]


def write_checkpoint(folder: Path, config: FuseLIPConfig, state: Mapping[str, Tensor]) -> Path:
    """A checkpoint folder as the hub has them: config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    untied = {key: tensor.contiguous() for key, tensor in state.items() if not key.endswith("head.decoder.weight")}
    save_file(untied, folder / "model.safetensors")
    return folder
