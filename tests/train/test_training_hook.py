"""Measurements during training: a TokLIP against its teacher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import training_hook
from fuselip.core.errors import UserError
from fuselip.model.checkpoints import save_model
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model

TEACHER = "siglip-ti-sf"


def checkpoint(folder: Path, name: str, teacher: str) -> Path:
    path = folder / "checkpoints" / "step-00000001"
    save_model(random_model(model_of(name).config, 0)[0], path)
    (folder / "run.json").write_text(json.dumps({"config": {"model": name, "distil": {"teacher": teacher}}}))
    return path


def test_an_untrained_student_is_far_from_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_hook, "PICTURES", 20)
    found = training_hook.distillation(checkpoint(tmp_path, "toklip-ti", TEACHER), 1)
    assert found["cosine/low"] <= found["cosine"] <= found["cosine/high"] < 0.5
    assert found["mean/low"] <= found["mean"] <= 0.3
    assert found["mean/chance"] == 1 / 20


def test_the_teacher_itself_agrees_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.encoders import resolve

    monkeypatch.setattr(training_hook, "PICTURES", 20)
    monkeypatch.setattr(training_hook, "run_encoder", lambda folder: resolve(TEACHER, weights="bundled", device="cpu"))
    found = training_hook.distillation(checkpoint(tmp_path, "toklip-ti", TEACHER), 1)
    assert found["cosine"] == pytest.approx(1)
    assert found["mean"] == 1


def test_a_run_without_a_teacher_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only a model with shipped weights"):
        training_hook.distillation(checkpoint(tmp_path, "toklip-ti", ""), 1)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="which model"):
        training_hook.tgit(tmp_path / "checkpoints" / "step-00000001", 1)
