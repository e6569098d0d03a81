"""Stability: an encoder that looks at its batch is found out, one that does not is seen to be steady."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.encoders import Adapted, adapt
from benchmarks.evaluation import load
from benchmarks.session import Listener, Loaded
from benchmarks.stability import stability, to_text
from benchmarks.stability_command import stability as command
from benchmarks.types import TaskContext
from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input
from tests.benchmarks.pictures import Thumbnails, draw

SETTINGS = ["as planned (fp32)", "batches of 1", "batches of 3", "reversed", "shuffled"]


class Coarse(Thumbnails):
    """Thumbnails rounded as its precision has it, with image ids to show."""

    limits = Limits(8, 8)

    def __init__(self, precision: str = "fp32") -> None:
        self.step = 1e-6 if precision == "fp32" else 0.4
        self.info = EncoderInfo("coarse", precision=precision)

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        return np.round(super().encode(inputs) / self.step) * self.step + 1e-3

    def tokenize_image(self, image: ImageRef) -> list[int]:
        return [round(float(value) / self.step) for value in self.picture(Input(image=image))]


class Centred(Thumbnails):
    """Subtracts the mean of its batch: a common mistake, which makes every score depend on the neighbours."""

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        vectors = super().encode(inputs)
        return vectors - vectors.mean(axis=0) + 1e-3 * np.arange(vectors.shape[1])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> list[Loaded]:
    source = f"folder:{draw(tmp_path_factory.mktemp('pictures'), 2)}"
    return load(["custom"], ["tgit/flip", "tgit/rotate"], TaskContext(source), Listener())


def test_a_steady_encoder(loaded: list[Loaded]) -> None:
    found = stability(adapt(Coarse()), loaded)
    assert [row["setting"] for row in found["settings"]] == SETTINGS
    assert list(found["skipped"]) == ["bf16"]
    for row in found["settings"]:
        assert row["max_difference"] == 0
        assert row["ids_changed"] is None
        for each in row["tasks"].values():
            assert (each["change"], each["first_changed"], each["ranks_changed"]) == (0, 0, 0)


def test_an_encoder_that_looks_at_its_batch(loaded: list[Loaded]) -> None:
    found = stability(adapt(Centred()), loaded)
    planned, alone = found["settings"][:2]
    assert planned["max_difference"] == 0
    assert alone["max_difference"] > 0.1
    assert alone["tasks"]["tgit/rotate"]["ranks_changed"] > 0.5
    for row in found["settings"][1:]:
        for name, each in row["tasks"].items():
            assert each["change"] == pytest.approx(each["value"] - planned["tasks"][name]["value"])


def test_another_precision(loaded: list[Loaded]) -> None:
    found = stability(adapt(Coarse()), loaded, lambda precision: adapt(Coarse(precision)))
    last = found["settings"][-1]
    assert last["setting"] == "bf16"
    assert last["max_difference"] > 1e-3
    assert last["ids_changed"] > 0.5
    assert not found["skipped"]


def test_a_precision_that_is_not_offered_is_said(loaded: list[Loaded]) -> None:
    def refuse(precision: str) -> Adapted:
        raise UserError(f"no {precision} here")

    found = stability(adapt(Coarse()), loaded, refuse)
    assert found["skipped"] == {"bf16": "no bf16 here"}
    assert "not tried: bf16: no bf16 here" in to_text(found)


def test_the_command(tmp_path: Path) -> None:
    source = f"folder:{draw(tmp_path, 1)}"
    asked = ["--model", "random", "--task", "tgit/flip", "--source", source]
    done = CliRunner().invoke(command, [*asked, "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert [row["setting"] for row in found["settings"]] == SETTINGS
    table = CliRunner().invoke(command, asked, catch_exceptions=False).stdout
    assert table.count("tgit/flip") == len(SETTINGS)
