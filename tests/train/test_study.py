"""Studies: their rows resolve and load, finished rows are kept, the tables say what was run and what was not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import small
from click.testing import CliRunner, Result

from benchmarks.corruptions import conditions
from benchmarks.types import Query
from fuselip.cli import main
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef, Input, Operation
from fuselip.model.checkpoints import save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.encoder import load
from fuselip.model.image_tokenizers import bundled_file
from fuselip.model.models import MODELS, model_of
from fuselip.model.random_init import random_model
from fuselip.train import studies
from fuselip.train.data import DataConfig, Part, materialise
from fuselip.train.data.mining import MINED, Mining
from fuselip.train.studies import SHAPES, STUDIES, VARIANTS, Row, Study, variants
from fuselip.train.study import Setup, config_of, lacking
from fuselip.train.study_report import STUDENT, command, estimate

NOTES = "notes.txt"


def measure(folder: Path, step: int) -> dict[str, float]:
    """The share of the run that is done, as a score of two tasks; the call is noted beside the run."""
    with (folder.parents[1] / NOTES).open("a") as notes:
        notes.write(f"{step} ")
    value = step / 4
    return {"mean": value, "mean/low": value / 2, "mean/high": 1.0, "mean/chance": 0.25, "colours/red": value}


def conditioned(folder: Path, step: int, condition: str = "") -> dict[str, float]:
    """What is asked for, as a score, of a folder that holds a model; "broken" cannot be measured."""
    if condition == "broken":
        raise UserError("this model takes no text alone")
    assert load(json.loads((folder.parents[1] / "run.json").read_text())["config"]["model"], weights=str(folder))
    value = len(condition) / 16
    return {"mean": value, "mean/low": value - 0.125, "mean/high": value + 0.125, "mean/chance": 0.25}


def another(folder: Path, step: int) -> dict[str, float]:
    return {"mean": 0.125}


@pytest.fixture
def study(small_config: FuseLIPConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "early": Row(small.NAME),
        "score fusion": Row("small-sf", ("optim.lr=1e-4",)),
        "later": Row(small.NAME, ("optim.lr=2e-4",)),
    }
    rows["early again"] = Row(small.NAME)
    found = Study("Is <early> better?", rows, {"half-way": "there is no such model"})
    monkeypatch.setitem(studies.STUDIES, "tiny", found)


def call(folder: Path, *arguments: str, data: bool = False) -> Result:
    tokenizers = folder / "tokenizers"
    if not tokenizers.is_dir():
        save_model(random_model(model_of(small.NAME).config, 0)[0], tokenizers / "grid16")
    settings = ["batch_size=6", "device=cpu", *([] if data else ["batches=handmade:batches", "data=null"])]
    options = [
        "--tokenizers",
        str(tokenizers),
        "--runs",
        str(folder / "runs"),
        "--out",
        str(folder / "out"),
        "--measure",
        "test_study:measure",
    ]
    given = ["study", "tiny", "--steps", "4", *options, *(part for each in settings for part in ("--set", each))]
    return CliRunner().invoke(main, [*given, *arguments])


def measured(folder: Path) -> dict[str, str]:
    """The steps at which each model was measured, over its seeds."""
    found: dict[str, str] = {}
    for path in sorted((folder / "runs").rglob(NOTES)):
        name = path.parent.name.split("-4-steps")[0]
        found[name] = found.get(name, "") + path.read_text()
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_every_row_resolves(name: str) -> None:
    setup = Setup(100, (1,), Path("runs"))
    with variants():
        rows = [row for row in STUDIES[name].rows.values() if not row.bundled or bundled_file(row.model)]
        configs = [config_of(row, setup, 1) for row in rows]
        assert all(model_of(config.model) for config in configs)
    asked = [(vars(config), row.trained, row.condition, row.mined) for row, config in zip(rows, configs, strict=True)]
    assert len({json.dumps(each, default=str) for each in asked}) == len(configs)
    assert not VARIANTS.keys() & MODELS.keys()


def test_shapes_have_equal_blocks() -> None:
    wanted = 12 * 4 * 160**2
    for name, size in SHAPES.items():
        assert size.width % size.heads == 0
        assert abs(12 * size.layers * size.width**2 / wanted - 1) < 0.03, name


def test_untrained_tokenizers_are_told(tmp_path: Path) -> None:
    (tmp_path / "grid16").mkdir()
    with variants():
        rows = STUDIES["tokens"].rows
        assert "grid16" in lacking(rows["16"], Setup(1, (1,), tmp_path))
        assert not lacking(rows["64"], Setup(1, (1,), tmp_path))
        assert not lacking(rows["16"], Setup(1, (1,), tmp_path, tokenizers=tmp_path))


def test_a_study_is_run_kept_and_told(study: None, tmp_path: Path) -> None:
    done = call(tmp_path, "--only", "early", "--only", "score fusion", "--seeds", "1,2")
    assert done.exit_code == 0, done.output
    assert measured(tmp_path) == {small.NAME: "1 2 3 4 1 2 3 4 ", "small-sf": "1 2 3 4 1 2 3 4 "}
    table = (tmp_path / "out" / "tiny.md").read_text()
    early = next(line for line in table.splitlines() if line.startswith("| early |"))
    assert "1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] | 2 |" in early
    assert "Chance is 0.250" in table
    assert "small-sf, optim.lr=1e-4; 4 steps of 6 pairs" in table
    assert '- **later**: `fuselip study tiny --only "later" --steps 4 --seeds 1,2' in table
    assert "--measure test_study:measure" in table
    assert "**half-way**: not built" in table
    found: dict[str, Any] = json.loads((tmp_path / "out" / "tiny.json").read_text())
    assert list(found["rows"]["early"]["runs"]["2"]["curve"]) == ["1", "2", "3", "4"]
    assert found["rows"]["early"]["runs"]["1"]["pairs"] == 24
    assert found["rows"]["later"]["runs"] == {}
    texts = {each.text for each in ElementTree.parse(tmp_path / "out" / "tiny.svg").iter() if each.text}
    assert {"early", "score fusion", "1.000"} <= texts
    assert call(tmp_path, "--seeds", "1", "--only", "early").exit_code == 0
    assert len(measured(tmp_path)[small.NAME].split()) == 8
    assert "1.000 [0.500, 1.000] | 1.000 | 1 |" in (tmp_path / "out" / "tiny.md").read_text()


def test_a_run_that_ended_unmeasured_is_measured(study: None, tmp_path: Path) -> None:
    """As after a kill between the last checkpoint and its measurement."""
    assert call(tmp_path, "--only", "early").exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    (folder / "row.json").unlink()
    log = folder / "metrics.jsonl"
    log.write_text("".join(line + "\n" for line in log.read_text().splitlines() if "hook/" not in line))
    assert call(tmp_path, "--only", "early").exit_code == 0
    assert measured(tmp_path) == {small.NAME: "1 2 3 4 4 "}


def test_another_measurement_is_made_anew(study: None, tmp_path: Path) -> None:
    assert call(tmp_path, "--only", "early").exit_code == 0
    assert call(tmp_path, "--only", "early", "--measure", "test_study:another").exit_code == 0
    found = json.loads((tmp_path / "out" / "tiny.json").read_text())["rows"]["early"]["runs"]["1"]
    assert found["scores"] == {"mean": 0.125}
    assert list(found["curve"]) == ["4"]


def test_bad_use_is_told(study: None, tmp_path: Path) -> None:
    assert "no row 'nearly'" in call(tmp_path, "--only", "nearly").output
    assert "--seeds" in call(tmp_path, "--seeds", "1,1").output
    assert call(tmp_path, "--data", str(tmp_path / "absent")).exit_code == 2
    with pytest.raises(UsageError, match="did you mean 'fusion'"):
        studies.study_of("fusoin")
    assert "fusion: Early fusion" in CliRunner().invoke(main, ["study", "--list"]).output


def test_no_folder_of_this_machine_is_told(tmp_path: Path) -> None:
    setup = Setup(1, (1,), tmp_path, f"{tmp_path}/tgit?kinds=flip", (f"data.tokens={tmp_path}/codes", "optim.lr=1"))
    told = command("mask", "0.1", STUDIES["mask"], setup)
    assert told.endswith("--data 'tgit?kinds=flip' --set data.tokens=codes --set optim.lr=1")


def test_the_interval_over_seeds_is_students() -> None:
    found = estimate([{"mean": 0.5}, {"mean": 0.6}, {"mean": 0.7}], "mean")
    half = STUDENT[1] * 0.1 / math.sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((0.6, 0.6 - half, 0.6 + half))
    assert estimate([{"mean": 0.5}], "mean").low is None


def test_changed_settings_are_another_run(study: None, tmp_path: Path) -> None:
    assert call(tmp_path, "--only", "early").exit_code == 0
    assert call(tmp_path, "--only", "early", "--set", "optim.lr=0.5").exit_code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert "optim.lr=0.5" in (tmp_path / "out" / "tiny.md").read_text()


def test_rows_that_ask_for_the_same_run_share_it(study: None, tmp_path: Path) -> None:
    assert call(tmp_path, "--only", "early").exit_code == 0
    found = json.loads((tmp_path / "out" / "tiny.json").read_text())["rows"]
    assert found["early again"]["runs"] == found["early"]["runs"]
    assert measured(tmp_path) == {small.NAME: "1 2 3 4 "}


def test_shipped_weights_are_measured_once_and_trained_further(
    small_config: FuseLIPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {
        "as they are": Row(small.NAME, bundled=True, trained=False),
        "half": Row(small.NAME, bundled=True, trained=False, condition="halfhalf"),
        "broken": Row(small.NAME, bundled=True, trained=False, condition="broken"),
        "not shipped": Row("small-sf", bundled=True, trained=False),
        "fine-tuned": Row(small.NAME, bundled=True),
        "from scratch": Row(small.NAME),
    }
    monkeypatch.setitem(studies.STUDIES, "tiny", Study("Does it help?", rows))
    shipped = tmp_path / "shipped"
    save_model(random_model(model_of(small.NAME).config, 5)[0], shipped)
    file = shipped / "model.safetensors"
    for place in ("fuselip.model.image_tokenizers", "fuselip.model.weights"):
        monkeypatch.setattr(f"{place}.bundled_file", lambda name: file if name == small.NAME else None)
    asked = ["--measure", "test_study:conditioned", "--seeds", "1,2"]
    done = call(tmp_path, *asked)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "tiny.json").read_text())["rows"]
    assert {name: list(each["runs"]) for name, each in found.items()} == {
        "as they are": ["1"],
        "half": ["1"],
        "broken": [],
        "not shipped": [],
        "fine-tuned": ["1", "2"],
        "from scratch": ["1", "2"],
    }
    table = (tmp_path / "out" / "tiny.md").read_text()
    assert "| half | 0.500 [0.375, 0.625] | – |" in table
    assert "**half**: fuselip-small, the weights that come with the package; measured as they are" in table
    assert "**broken** (this model takes no text alone)" in table
    assert "**not shipped** (this package holds no trained weights of small-sf)" in table
    (bundle,) = (tmp_path / "runs").glob("*-bundled-*")
    begun = {path: json.loads(path.read_text())["config"]["init"] for path in (tmp_path / "runs").glob("*/row.json")}
    assert sorted(begun.values()) == ["", "", *[str(bundle / "checkpoints" / "step-00000000")] * 2]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*.json")}
    assert call(tmp_path, *asked).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_mined_rows_mine_once_from_the_data(
    small_config: FuseLIPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"pools": Row(small.NAME), "mined": Row(small.NAME, mined=True)}
    monkeypatch.setitem(studies.STUDIES, "tiny", Study("Are they better?", rows))
    monkeypatch.setattr("fuselip.train.study.MINING", Mining(size=3))
    data = tmp_path / "set"
    materialise(
        DataConfig((Part("datagen.training:scenes", 1.0, {"kind": "flip", "size": 64}),)), small_config, 6, data
    )
    assert "--data" in lacking(rows["mined"], Setup(1, (1,), tmp_path))
    done = call(tmp_path, "--data", str(data), "--only", "mined", data=True)
    assert done.exit_code == 0, done.output
    assert "mining hard negatives" in done.output
    (folder,) = (tmp_path / "runs").glob("mined-*")
    (row,) = (tmp_path / "runs").glob("*/row.json")
    (part,) = json.loads(row.read_text())["config"]["data"]["parts"]
    assert part == {"source": MINED, "weight": 1.0, "options": {"folder": str(folder), "data": str(data)}}
    assert "groups mined from the data" in (tmp_path / "out" / "tiny.md").read_text()


def test_the_conditions_are_those_of_the_benchmarks() -> None:
    image = ImageRef("", (Operation.of("scene"),))
    queries = [
        Query(f"q{number}", Input(text, replace(image, source=text)), {"a": 1}, cluster=text)
        for number, text in enumerate(("turn it left", "turn it right"))
    ]
    assert sorted(conditions(queries)) == sorted(studies.CONDITIONS)
