"""What the tests of tasks on public sets share: small pictures under given names, and the controls of a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import controls
from benchmarks.metrics import METRICS
from benchmarks.results import mean
from benchmarks.types import TaskData, TaskSpec


def photo(path: Path, number: int, width: int = 100, height: int = 80) -> Path:
    """A picture of noise, unlike that of any other number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
    return path


def check_controls(spec: TaskSpec, data: TaskData) -> float:
    """Constant scores exactly chance, and the oracle everything that copies leave to be told apart. Returns chance."""
    metric = METRICS[spec.metric]
    constant = controls.constant(data)
    chance = float(np.mean([unit.chance for unit in metric.units(constant)]))
    assert mean(metric, constant) == pytest.approx(chance, abs=1e-12)
    assert mean(metric, controls.oracle(data)) == 1.0
    if spec.chance is not None:
        assert chance == pytest.approx(spec.chance, abs=1e-9)
    for name in spec.also:
        assert name in METRICS
    return chance


def load_pixels(data: TaskData, key: str) -> np.ndarray:
    """uint8 [height, width, 3] of the candidate `key`."""
    image = data.candidates[key].inputs[0].image
    assert image is not None
    return np.asarray(image.load())
