"""Exported results: read by mteb itself, and by MMEB's names; nothing of the paper's protocol among MMEB's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import evaluate
from benchmarks.cli import main
from benchmarks.export.results import mmeb_sheet, mteb_files
from benchmarks.results import result_to_json
from fuselip.core.errors import UserError
from tests.benchmarks.pictures import Thumbnails, draw


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    source = f"folder:{draw(folder / 'pictures', 2)}"
    evaluate(Thumbnails(), tasks=["tgit/crop"], source=source, output=folder / "run", cache=False)
    return folder / "run"


def summary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def test_the_command_writes_mteb_files(run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(run), "--to", "mteb", "--out", str(tmp_path / "mteb")])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "mteb" / "Thumbnails" / "no_revision_available"
    assert {path.name for path in folder.iterdir()} == {"model_meta.json", "fuselip.tgit.crop.json"}
    told = json.loads((folder / "fuselip.tgit.crop.json").read_text())
    [row] = told["scores"]["test"]
    task = summary_of(run)["tasks"][0]
    assert (row["main_score"], row["hit@5"]) == (task["value"], task["metrics"]["hit@5"]["value"])
    assert told["dataset_revision"] == task["data_hash"]


@pytest.mark.slow
def test_mteb_reads_them(run: Path, tmp_path: Path) -> None:
    results = pytest.importorskip("mteb.results.task_result")
    for name, value in mteb_files(summary_of(run)).items():
        if not name.endswith("model_meta.json"):
            found = results.TaskResult.from_dict(value)
            assert found.get_score() == pytest.approx(summary_of(run)["tasks"][0]["value"])


def test_the_sheet_of_mmeb_holds_its_own_protocol_alone(run: Path) -> None:
    summary = summary_of(run)
    with pytest.raises(UserError, match="--suite mmeb"):
        mmeb_sheet(summary)
    evaluation = evaluate(Thumbnails(), tasks=["digits/zero-shot"], cache=False)
    [result] = evaluation.results
    names = ("mmeb/GQA", "mmeb-paper/GQA", "mmeb/CIFAR-100")
    summary["tasks"] = [result_to_json(replace(result, name=name)) for name in names]
    sheet = mmeb_sheet(summary, "https://example.org/model")
    assert list(sheet["metrics"]["image"]) == ["GQA"]
    assert sheet["metrics"]["image"]["GQA"]["hit@1"] == result.value
    assert sheet["metadata"]["data_source"] == "Self-Reported"


def test_names_of_strangers_stay_in_the_folder(run: Path) -> None:
    summary = summary_of(run)
    summary["model"]["name"] = "../../etc/passwd"
    assert all(".." not in name.split("/") and not name.startswith("/") for name in mteb_files(summary))
