"""Scores on the clean subset: only what the leaks list calls clean counts, and only on the same data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import evaluate, predictions
from benchmarks.clean import clean_scores
from benchmarks.cli import main
from benchmarks.metrics import METRICS
from fuselip.core.errors import UserError
from tests.benchmarks.pictures import Thumbnails, draw


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    draw(folder / "pictures", 4)
    draw(folder / "trained", 1)  # the first of the four
    source = f"folder:{folder / 'pictures'}"
    evaluate(Thumbnails(), tasks=["tgit/crop", "tgit/rotate"], source=source, output=folder / "run", cache=False)
    command = ["leaks", f"folder:{folder / 'trained'}", "--task", "tgit/crop", "--source", source]
    result = CliRunner().invoke(main, [*command, "--suite", "photos", "--out", str(folder / "clean.json")])
    assert result.exit_code == 0, result.output
    return folder / "run"


def test_only_clean_questions_count(run: Path) -> None:
    listed = json.loads((run.parent / "clean.json").read_text())["tasks"]["tgit/crop"]["clean"]
    crop, rotate = clean_scores(run, run.parent / "clean.json")
    rows = predictions.read(run / "tasks" / "tgit__crop" / "predictions.parquet").variants["model"]
    kept = [row for row in rows if row.query in listed]
    assert {row.cluster for row in rows} - {row.cluster for row in kept} == {"picture0.png"}
    assert crop.n == len(kept) == 27
    assert crop.value == pytest.approx(np.mean([unit.value for unit in METRICS["hit@1"].units(kept)]))
    assert rotate.value is None
    assert "does not cover" in rotate.why
    output = CliRunner().invoke(main, ["show", str(run), "--clean", str(run.parent / "clean.json")]).output
    assert "clean n" in output
    assert "27" in output


def test_a_list_of_other_data_is_refused(run: Path, tmp_path: Path) -> None:
    listed = json.loads((run.parent / "clean.json").read_text())
    listed["tasks"]["tgit/crop"]["data_hash"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(listed))
    with pytest.raises(UserError, match="other data"):
        clean_scores(run, tmp_path / "other.json")
    (tmp_path / "no.json").write_text("[]")
    with pytest.raises(UserError, match="is not what"):
        clean_scores(run, tmp_path / "no.json")
