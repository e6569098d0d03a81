"""The doctor on data folders that lack something: what is missing, changed or incomplete, and what would mend it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import doctor_command
from benchmarks.doctor import TaskReport, environment, examine
from benchmarks.fetch import Options, fetch
from benchmarks.tasks import TASKS
from benchmarks.types import TaskSpec
from datagen.fetch.guard import Limits
from tests.benchmarks.web import Web, serving

CAPTIONS = [
    {
        "pairid": 1,
        "reference": "dev-0",
        "target_hard": "dev-1",
        "caption": "two dogs",
        "img_set": {"members": ["dev-0", "dev-1"]},
    }
]
SPLIT = {"dev-0": "./dev/dev-0.png", "dev-1": "./dev/dev-1.png"}


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web({"/cap": json.dumps(CAPTIONS).encode(), "/split": json.dumps(SPLIT).encode()})) as server:
        yield server


@pytest.fixture
def spec(web: Web) -> TaskSpec:
    """CIRR's row with its two small files at the local server, and the counts of the small copy."""
    row = TASKS["cirr/val"]
    captions, split, images = row.files
    files = (replace(captions, url=f"{web.base}/cap"), replace(split, url=f"{web.base}/split"), images)
    return replace(row, files=files, counts={"queries": 1, "candidates": 2})


def only(spec: TaskSpec, data: Path, quick: bool = False) -> TaskReport:
    [report] = examine([spec], data, quick)
    return report


def states(report: TaskReport) -> list[str]:
    return [file.state for file in report.files]


def test_from_nothing_to_runnable(spec: TaskSpec, tmp_path: Path) -> None:
    report = only(spec, tmp_path)
    assert states(report) == ["missing"] * 3
    assert not report.runnable
    assert report.queries is None
    assert "`fuselip-bench fetch cirr/val` gets it from http" in report.files[0].note
    assert "fill in the form" in report.files[2].note
    assert report.files[0].place == str(tmp_path / "cirr/captions/cap.rc2.val.json")
    fetch([spec], tmp_path, Options(Limits(allow_private=True)))
    report = only(spec, tmp_path)
    assert (states(report), report.runnable) == (["intact", "intact", "missing"], False)
    assert report.queries == 1  # the questions are there; only the pictures are not
    (tmp_path / "cirr/images").mkdir()
    assert states(only(spec, tmp_path))[2] == "empty"
    (tmp_path / "cirr/images/dev").mkdir()
    report = only(spec, tmp_path)
    assert states(report) == ["intact", "intact", "there"]
    assert report.runnable


def test_changed_and_incomplete_files(spec: TaskSpec, tmp_path: Path) -> None:
    (tmp_path / "cirr/images/dev").mkdir(parents=True)
    fetch([spec], tmp_path, Options(Limits(allow_private=True)))
    assert only(spec, tmp_path).runnable
    captions = tmp_path / "cirr/captions/cap.rc2.val.json"
    whole = captions.read_text()
    captions.write_text(whole.replace("two dogs", "six dogs"))
    report = only(spec, tmp_path)
    assert (states(report)[0], report.runnable) == ("changed", False)
    assert only(spec, tmp_path, quick=True).runnable
    captions.write_text(whole)
    report = only(replace(spec, counts={"queries": 4181}), tmp_path)
    assert "1 queries where the publisher's files have 4181" in report.fault
    assert not report.runnable
    captions.write_text(whole[:-3])
    report = only(spec, tmp_path, quick=True)
    assert (states(report)[0], report.runnable) == ("changed", False)


def test_damaged_file_that_was_not_fetched(spec: TaskSpec, tmp_path: Path) -> None:
    (tmp_path / "cirr/images/dev").mkdir(parents=True)
    fetch([spec], tmp_path, Options(Limits(allow_private=True)))
    (tmp_path / "fetched.json").unlink()
    assert states(only(spec, tmp_path)) == ["there"] * 3
    (tmp_path / "cirr/captions/cap.rc2.val.json").write_text("[{")
    report = only(spec, tmp_path)
    assert "is not readable JSON" in report.fault
    assert not report.runnable


def test_tasks_that_read_no_files_can_run(tmp_path: Path) -> None:
    report = only(TASKS["tgit/flip"], tmp_path)
    assert report.runnable
    assert (report.files, report.queries) == ((), None)


def test_environment_tells_of_every_extra() -> None:
    found = environment()
    assert set(found["extras"]) >= {"dev", "datagen", "fetch", "ray", "transformers"}
    assert found["extras"]["dev"] == []  # or these tests would not run
    assert found["python"].startswith("3.")
    assert found["torch"]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(doctor_command.doctor, arguments, standalone_mode=False)


def test_command(spec: TaskSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code, table and JSON; nothing may be sent."""

    def connect(*_: object) -> None:
        raise AssertionError("the doctor touched the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setitem(TASKS, "cirr/val", spec)
    done = run("cirr/val", "tgit/*", "--data", str(tmp_path))
    assert done.return_value == 1
    assert "cirr/val" in done.output
    assert "missing" in done.output
    value = json.loads(run("cirr/val", "--data", str(tmp_path), "--json").stdout)
    assert value["tasks"][0]["runnable"] is False
    assert [file["state"] for file in value["tasks"][0]["files"]] == ["missing"] * 3
    assert value["data"] == str(tmp_path)
    assert run("tgit/*", "--data", str(tmp_path)).return_value == 0
