"""The encoder that a checkpoint of a training run is, for what is measured during training and after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.encoders import resolve
from fuselip.core.errors import UserError
from fuselip.core.files import read_json

LOAD = "fuselip.model.encoder:load"


def run_config(folder: Path) -> Mapping[str, Any]:
    """The config of the run whose checkpoint `folder` is. Raises UserError where its run.json does not tell it."""
    path = folder.parents[1] / "run.json"
    run = read_json(path)
    config = run.get("config") if isinstance(run, dict) else None
    if not isinstance(config, dict) or not isinstance(config.get("model"), str):
        raise UserError(f"{path} does not say which model the run trains")
    return config


def run_encoder(folder: Path) -> Any:
    """That checkpoint on the CPU, in fp32."""
    return resolve(LOAD, {"name": run_config(folder)["model"]}, weights=str(folder), device="cpu")
