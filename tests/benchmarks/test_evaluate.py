"""Evaluation end to end: what is written, what a resumed run ends with, and what cannot win."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import evaluate
from benchmarks.rescore import rescore
from fuselip.core.encoder import EncoderInfo, Weights
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import Input
from tests.benchmarks.pictures import NotANumber, PositionBiased, Thumbnails, draw

FAMILIES = {"crop": 1 / 9, "rotate": 1 / 18, "jitter": 1 / 10, "flip": 1 / 3, "colorize": 1 / 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{draw(tmp_path_factory.mktemp('pictures'), 3)}"


def hashes(run: Path) -> dict[str, str]:
    found = sorted(run.glob("tasks/*/predictions.parquet"))
    return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_results_as_objects_files_and_table(source: str, tmp_path: Path) -> None:
    evaluation = evaluate(Thumbnails(), suite="quick", source=source, output=tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["schema"] == 1
    assert summary["suite"] == "quick"
    assert summary["peak_memory_mb"] > 0
    assert summary["seconds"] > 0
    assert {task["name"] for task in summary["tasks"]} == {f"tgit/{family}" for family in FAMILIES}
    for task in summary["tasks"]:
        family = task["name"].removeprefix("tgit/")
        assert task["chance"] == pytest.approx(FAMILIES[family], abs=0.02)
        assert task["low"] <= task["value"] <= task["high"]
        assert set(task["controls"]) == {"constant", "random", "oracle", "image_only", "text_only"}
        assert task["controls"]["constant"] == pytest.approx(task["chance"], abs=1e-12)
        assert task["controls"]["oracle"] == 1
        assert task["clusters"] == 3
        assert len(task["data_hash"]) == 64
    frame = evaluation.to_pandas()
    assert list(frame["name"]) == [result.name for result in evaluation.results]
    assert {"value", "low", "high", "chance", "normalised", "oracle"} <= set(frame.columns)
    assert all(not row.difference for row in rescore(tmp_path / "run"))


def test_rescore_finds_an_edited_number(source: str, tmp_path: Path) -> None:
    evaluate(Thumbnails(), tasks=["tgit/flip"], source=source, output=tmp_path)
    path = tmp_path / "tasks" / "tgit__flip" / "result.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "value": told["value"] + 0.01}))
    assert "value" in rescore(tmp_path)[0].difference


def test_same_predictions_with_and_without_shared_cache(source: str, tmp_path: Path) -> None:
    for name, cache in (("first", True), ("again", True), ("fresh", False)):
        evaluate("random", source=source, output=tmp_path / name, cache=cache)
    assert hashes(tmp_path / "first") == hashes(tmp_path / "again") == hashes(tmp_path / "fresh")
    again = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert again["embedding"]["encoded_batches"] == 0
    assert again["embedding"]["reused_batches"] > 0


def test_same_weights_found_another_way_are_the_same_run(source: str, tmp_path: Path) -> None:
    """A checkpoint that was downloaded comes from the cache when the run is resumed."""
    for place in ("hub", "cache"):
        encoder = Thumbnails()
        encoder.info = EncoderInfo("x", fingerprint="f", weights=Weights(place, place, "r", "sha", note=place))  # type: ignore[attr-defined]
        evaluate(encoder, tasks=["tgit/flip"], source=source, output=tmp_path)


class Stopping(Thumbnails):
    """Interrupted, as by Ctrl-C, after so many calls."""

    def __init__(self, after: int) -> None:
        self.left = after

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().encode(inputs)


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_interrupted_run_resumes_to_the_same_bytes(source: str, tmp_path: Path, after: int) -> None:
    evaluate(Stopping(10**9), source=source, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        evaluate(Stopping(after), source=source, output=tmp_path / "cut")
    assert not (tmp_path / "cut" / "summary.json").exists()
    evaluate(Stopping(10**9), source=source, output=tmp_path / "cut")
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole") != {}


def test_interrupted_between_tasks_keeps_what_was_finished(source: str, tmp_path: Path, monkeypatch: Any) -> None:
    from benchmarks import runs

    finish, finished = runs.RunFolder.finish, []

    def finish_two(self: runs.RunFolder, result: Any) -> None:
        if len(finished) == 2:
            raise KeyboardInterrupt
        finish(self, result)
        finished.append(result.name)

    monkeypatch.setattr(runs.RunFolder, "finish", finish_two)
    with pytest.raises(KeyboardInterrupt):
        evaluate(Thumbnails(), source=source, output=tmp_path)
    monkeypatch.undo()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("tasks/*/result.json")}
    assert len(stamps) == 2
    evaluate(Thumbnails(), source=source, output=tmp_path)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert len(hashes(tmp_path)) == 5


def test_folder_of_another_run_is_refused(source: str, tmp_path: Path) -> None:
    evaluate("constant", tasks=["tgit/flip"], source=source, output=tmp_path)
    with pytest.raises(UsageError, match=r"holds another run .*seed was 0, is now 1"):
        evaluate("constant", tasks=["tgit/flip"], source=source, output=tmp_path, seed=1)
    with pytest.raises(UsageError, match="holds another run"):
        evaluate("random", tasks=["tgit/flip"], source=source, output=tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"holds other files \(thesis.tex\)"):
        evaluate("constant", tasks=["tgit/flip"], source=source, output=tmp_path / "other")


def test_constant_encoder_is_scored_at_chance_with_a_warning(source: str) -> None:
    for result in evaluate("constant", source=source).results:
        assert result.value == pytest.approx(result.chance, abs=1e-12)
        assert "collapsed" in result.warnings[0]


def test_random_encoders_are_at_chance_on_average(source: str) -> None:
    from benchmarks.encoders.baselines import Random

    seeds = range(12)
    runs = [evaluate(Random(64, seed), source=source).results for seed in seeds]
    for results in zip(*runs, strict=True):
        mean, chance = np.mean([result.value for result in results]), results[0].chance
        deviation = (chance * (1 - chance) / (results[0].n * len(seeds))) ** 0.5
        assert abs(mean - chance) < 4 * deviation, results[0].name


def test_position_biased_encoder_does_not_profit(source: str) -> None:
    for result in evaluate(PositionBiased(), source=source).results:
        assert result.normalised < 0.35, result.name


def test_nan_is_an_error_that_names_encoder_and_input(source: str) -> None:
    with pytest.raises(UserError, match=r"NotANumber returned nan for image .*tgit.rotate"):
        evaluate(NotANumber(), source=source)


def test_unknown_names_are_usage_errors(source: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'quick'"):
        evaluate("constant", suite="quik", source=source)
    with pytest.raises(UsageError, match="did you mean 'tgit/flip'"):
        evaluate("constant", tasks=["tgit/flop"], source=source)
    with pytest.raises(UsageError, match="constant"):
        evaluate("constnt", source=source)
