"""The audit: the rule of needing fusion, what a run tells of it, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scoring_cases import prediction

from benchmarks import evaluate, shortcuts
from benchmarks import tasks as registry
from benchmarks.audit_command import audit
from benchmarks.metrics import METRICS
from benchmarks.report import render
from benchmarks.rescore import rescore
from benchmarks.tasks import sugarcrepe
from benchmarks.types import Prediction
from fuselip.core.console import Group
from fuselip.core.errors import UserError
from tests.benchmarks.pictures import Thumbnails, draw

CLI = Group(commands={"audit": audit})
HIT = METRICS["hit@1"]


def answers(share: float, n: int = 200) -> list[Prediction]:
    """`share` of n questions with four candidates is right."""
    return [prediction(4, (int(number >= share * n), 0, 1.0), query=f"{number:03}") for number in range(n)]


def found(**shares: float) -> dict[str, Any]:
    return shortcuts.audit(HIT, {name: answers(share) for name, share in shares.items()}, "t")


def test_the_rule_of_fusion() -> None:
    """Chance is 1/4, so that half of the room ends at 62.5%."""
    blind = found(characters=0.625, bag_of_words=0.3)
    assert (blind["needs_fusion"], blind["reason"]) == (False, "characters reach 62.5")
    assert blind["blind"] == {"characters": 0.625, "bag_of_words": 0.3}
    assert blind["unimodal"] == {}
    assert found(characters=0.62)["needs_fusion"] is None
    both = found(characters=0.3, image_only=0.4, text_only=0.5)
    assert both["needs_fusion"] is True
    assert "text only reaches 50.0" in both["reason"]
    one_sided = found(image_only=0.8, text_only=0.9, bag_of_words=0.7)
    assert (one_sided["needs_fusion"], one_sided["reason"]) == (False, "text only reaches 90.0")
    assert found(image_only=0.2, text_only=0.2, swapped_image=0.7)["needs_fusion"] is False
    assert found() == {"blind": {}, "unimodal": {}, "intervals": {}, "needs_fusion": None, "reason": ""}


def test_a_share_that_could_be_chance_proves_nothing() -> None:
    few = shortcuts.audit(HIT, {"characters": answers(0.75, 4)}, "t")
    assert few["blind"]["characters"] == 0.75
    assert few["intervals"]["characters"][0] > 0.25
    three = [replace(row, pool=2) for row in answers(0.75, 4)]  # chance 1/2: half of the room is 75%, low is 30%
    assert shortcuts.audit(HIT, {"characters": three}, "t")["needs_fusion"] is None


def test_the_gap_is_against_the_better_half_and_paired() -> None:
    variants = {"model": answers(0.8), "image_only": answers(0.3), "text_only": answers(0.5)}
    gap = shortcuts.composition(HIT, variants, "t")
    assert gap["part"] == "text_only"
    assert gap["gap"] == pytest.approx(0.3)
    assert 0.23 < gap["low"] < 0.3 < gap["high"] < 0.37
    same = shortcuts.composition(HIT, {**variants, "text_only": answers(0.8)}, "t")
    assert same["gap"] == 0
    assert same["high"] - same["low"] < 0.05  # unpaired, it would be 0.16
    assert shortcuts.composition(HIT, {"model": answers(0.8)}, "t") == {}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{draw(tmp_path_factory.mktemp('pictures'), 4)}"


def test_a_run_tells_its_audit_and_rescore_recomputes_it(source: str, tmp_path: Path) -> None:
    run = evaluate(Thumbnails(), tasks=["tgit/crop", "tgit/flip"], source=source, output=tmp_path)
    for result in run.results:
        halves = {name: result.controls[name] for name in ("image_only", "text_only")}
        assert result.audit["unimodal"] == halves
        best = max(halves.values(), key=lambda value: value or 0.0)
        assert result.composition["gap"] == pytest.approx(result.value - (best or 0.0))
        assert result.composition["low"] <= result.composition["gap"] <= result.composition["high"]
    assert not any(row.difference for row in rescore(tmp_path))
    path = tmp_path / "tasks" / "tgit__flip" / "result.json"
    told = json.loads(path.read_text())
    for part, change in (
        ("audit", {"needs_fusion": "no"}),
        ("composition", {"gap": "x"}),
        ("audit", {"blind": {"characters": "x"}}),
    ):
        path.write_text(json.dumps({**told, part: {**told[part], **change}}))
        with pytest.raises(UserError, match="edited or is damaged"):
            rescore(tmp_path)
    for part, change in (("audit", {"needs_fusion": False, "reason": "x"}), ("composition", {"gap": 0.99})):
        path.write_text(json.dumps({**told, part: {**told[part], **change}}))
        assert part in next(row.difference for row in rescore(tmp_path) if row.difference)
    assert f"{100 * run.results[0].composition['gap']:+.1f}" in render(run.summary, "table", 80)


def sugar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SugarCrepe subset of thirty captions with an added attribute, without a single picture."""
    rows = {
        str(number): {
            "filename": f"{number:012}.jpg",
            "caption": f"a cat on mat {number}",
            "negative_caption": f"a striped cat on mat {number}",
        }
        for number in range(30)
    }
    (folder / "sugarcrepe").mkdir(parents=True)
    (folder / "sugarcrepe" / "add_att.json").write_text(json.dumps(rows))
    for spec in sugarcrepe.ROWS:
        monkeypatch.setitem(registry.TASKS, spec.name, replace(spec, counts={}))
    return folder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(CLI, ["audit", *arguments])


def test_the_command_needs_annotations_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    data = sugar(tmp_path / "data", monkeypatch)
    done = call("sugarcrepe/add_att", "tgit/flip", "--data", str(data), "--source", source, "--json")
    assert done.exit_code == 0
    tasks = {task["name"]: task for task in json.loads(done.stdout)["tasks"]}
    assert set(json.loads(done.stdout)) == {"tasks"}
    task = tasks["sugarcrepe/add_att"]
    assert (task["n"], task["chance"], task["needs_fusion"]) == (30, 0.5, False)
    assert task["blind"] == {"characters": 1.0, "bag_of_words": 1.0}
    assert task["unimodal"] == task["partial"] == {}
    assert task["intervals"]["characters"][0] > 0.8
    assert tasks["tgit/flip"]["blind"] == {}
    assert tasks["tgit/flip"]["needs_fusion"] is None


def test_a_pattern_and_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sugar(tmp_path / "data", monkeypatch)
    done = call("sugarcrepe/*", "--data", str(data), "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert [task["name"] for task in report["tasks"]] == ["sugarcrepe/add_att"]
    assert {row["name"] for row in report["errors"]} == {f"sugarcrepe/{name}" for name in sugarcrepe.SUBSETS} - {
        "sugarcrepe/add_att"
    }
    assert all("is not there" in row["error"] for row in report["errors"])
    text = call("sugarcrepe/add_*", "--data", str(data)).stdout
    assert "sugarcrepe/add_att needs no fusion: characters reach 100.0" in text
    assert "sugarcrepe/add_obj was not audited" in text
    assert call("no/such", "--data", str(data)).exit_code == 2


def test_partial_skills_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sugar(tmp_path, monkeypatch)
    spec = replace(registry.TASKS["sugarcrepe/add_att"], partial={"knows colours": 0.4})
    monkeypatch.setitem(registry.TASKS, spec.name, spec)
    assert "sugarcrepe/add_att: knows colours scores 40.0" in call(spec.name, "--data", str(data)).stdout
    assert json.loads(call(spec.name, "--data", str(data), "--json").stdout)["tasks"][0]["partial"] == {
        "knows colours": 0.4
    }


def test_with_a_model_halves_and_wrong_images_are_asked(source: str, tmp_path: Path) -> None:
    (tmp_path / "audited.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.benchmarks.pictures import Thumbnails\n"
    )
    done = call("tgit/flip", "--model", f"{tmp_path / 'audited.py'}:Thumbnails", "--source", source, "--json")
    assert done.exit_code == 0, done.output
    [task] = json.loads(done.stdout)["tasks"]
    assert set(task["unimodal"]) == {"image_only", "text_only", "swapped_image"}
    assert task["model"]["value"] != task["unimodal"]["swapped_image"]
    assert task["composition"]["part"] in ("image_only", "text_only")
    assert isinstance(task["needs_fusion"], bool)
    text = call("tgit/flip", "--model", "random", "--source", source).stdout
    assert "swapped" in text
    assert call("tgit/flip", "--weights", "random").exit_code == 2
    assert call("tgit/flip", "--model", "random", "--model-arg", "dim").exit_code == 2
