"""Results and rescoring: what a run says follows from its predictions, and a changed number is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scoring_cases import ask, candidates, prediction

from benchmarks import controls, predictions
from benchmarks.rescore import first_difference, rescore
from benchmarks.results import CONTROLS, numbers, result_from_json, result_to_json, summarise
from benchmarks.score import rank
from benchmarks.types import Prediction, Result, Skip, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.files import read_json, write_json

SPEC = TaskSpec("made/up", 3, "nowhere:load", "a test")
CELLS = ("upper left", "centre", "lower right")


ALSO = ("hit@5", "mrr", "strict@1")


def run_of(tmp_path: Path) -> tuple[Path, Result]:
    """A run folder with one task of 36 questions on 12 images, answered by noise that leans towards the right cell."""
    keys = {f"i{image}/crop/{cell}": f"{image} {cell}" for image in range(12) for cell in CELLS}
    queries = tuple(
        ask(f"q{key}", {key: 1}, [f"{key.split('/')[0]}/crop/{cell}" for cell in CELLS], cluster=key.split("/")[0],
            tags={"cell": key.split("/")[2], "strength": len(key)})
        for key in keys
    )  # fmt: skip
    data = TaskData(queries, candidates(keys), (Skip("i99", "too small"),), ("a note",))
    noise = np.random.default_rng(5)
    contents = [data.candidates[key].content for key in keys]
    vectors = noise.standard_normal((36, 8))
    found = {"model": rank(queries, data, vectors + noise.standard_normal((36, 8)), contents, vectors)}
    found |= controls.predictions(data) | {"image_only": found["model"][::-1]}
    result = summarise(SPEC, data, found, seconds=1.25, warnings=["careful"])
    folder = tmp_path / "run" / "tasks" / "made__up"
    header = {"task": SPEC.name, "version": "3", "data_hash": data.data_hash}
    predictions.write(folder / "predictions.parquet", found, header)
    write_json(folder / "result.json", result_to_json(result))
    return tmp_path / "run", result


def test_a_result_says_everything_and_survives_json(tmp_path: Path) -> None:
    _, result = run_of(tmp_path)
    assert (result.n, result.clusters, result.interval) == (36, 12, "cluster bootstrap")
    assert result.chance == pytest.approx(1 / 3)
    assert result.controls["constant"] == result.chance
    assert result.controls["oracle"] == 1
    assert result.controls["image_only"] == result.value
    assert result.controls["text_only"] is None
    assert result.low < result.value < result.high
    assert 1 / 3 < result.value < 1
    assert result.metrics["hit@1"]["value"] == result.value == result.metrics["strict@1"]["value"]
    assert result.metrics["hit@5"]["value"] == result.metrics["hit@5"]["chance"] == 1
    assert {"cell", "cell confusion"} <= set(result.skills)
    value = json.loads(json.dumps(result_to_json(result)))
    assert value["skipped"] == [{"item": "i99", "reason": "too small"}]
    assert set(value["controls"]) == set(CONTROLS)
    assert result_from_json(value, "here") == result


def test_an_honest_run_agrees(tmp_path: Path) -> None:
    run, result = run_of(tmp_path)
    (found,) = rescore(run)
    assert found.difference == ""
    assert found.result == result
    assert str(found).endswith("agrees")


@pytest.mark.parametrize(("change", "named"), [
    (lambda r: r.update(value=0.99), "value: says 0.99"),
    (lambda r: r.update(low=r["low"] + 1e-6), "low: says"),
    (lambda r: r.update(interval="wilson"), "interval"),
    (lambda r: r.update(chance=0.1), "chance"),
    (lambda r: r.update(n=37), "n: says 37, computed 36"),
    (lambda r: r.update(clusters=36), "clusters"),
    (lambda r: r["controls"].update(random=0.0), "controls.random"),
    (lambda r: r["controls"].update(text_only=0.5), "controls.text_only: says 0.5, computed None"),
    (lambda r: r["metrics"]["mrr"].update(high=1.0), "metrics.mrr.high"),
    (lambda r: r["skills"]["cell"][1].update(accuracy=1.0), "skills.cell.1.accuracy"),
    (lambda r: r["skills"].update(more=[]), "skills.more"),
    (lambda r: r.update(version=4), "version: says '4', computed '3'"),
    (lambda r: r.update(data_hash="0"), "data_hash"),
    (lambda r: r.update(name="other"), "name: says 'other', computed 'made/up'"),
    (lambda r: r.update(metric="mrr"), "value"),
])  # fmt: skip
def test_a_changed_number_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], None], named: str) -> None:
    run, _ = run_of(tmp_path)
    path = run / "tasks" / "made__up" / "result.json"
    value = read_json(path)
    change(value)
    write_json(path, value)
    (found,) = rescore(run)
    assert named in found.difference
    assert "DIFFERS" in str(found)


@pytest.mark.parametrize(("change", "message"), [
    (lambda r: r.pop("value"), "'value' is missing"),
    (lambda r: r.update(n="many"), "'n' is missing or not a whole number"),
    (lambda r: r.update(n=True), "'n' is missing"),
    (lambda r: r.update(controls={"random": "x"}), "control 'random' is not a number"),
    (lambda r: r["metrics"].update(mrr=3), "of metric 'mrr' is not a number"),
    (lambda r: r.update(metric="hits@1"), "no metric 'hits@1'; did you mean 'hit@1'"),
])  # fmt: skip
def test_what_is_no_result_is_a_user_error(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    run, _ = run_of(tmp_path)
    path = run / "tasks" / "made__up" / "result.json"
    value = read_json(path)
    change(value)
    write_json(path, value)
    with pytest.raises(UserError, match=message):
        rescore(run)


def test_a_folder_without_results_or_predictions_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no results"):
        rescore(tmp_path)
    run, _ = run_of(tmp_path)
    (run / "tasks" / "made__up" / "predictions.parquet").unlink()
    with pytest.raises(UserError, match="is missing"):
        rescore(run)
    with pytest.raises(UserError, match="does not hold a result"):
        result_from_json([], "here")


def test_queries_whose_answers_a_server_holds_are_not_counted() -> None:
    known = [prediction(4, (0, 0, 1.0), query="a"), prediction(4, (1, 0, 1.0), query="b")]
    hidden: list[Prediction] = [prediction(4, query="c")]
    found = numbers("hit@1", {"model": [*known, *hidden]}, "t", ALSO)
    assert (found.n, found.value, found.chance) == (2, 0.5, 0.25)
    with pytest.raises(ValueError, match="no query has known answers"):
        numbers("hit@1", {"model": hidden}, "t", ALSO)


def test_the_order_of_queries_changes_no_digit(tmp_path: Path) -> None:
    _, result = run_of(tmp_path)
    file = predictions.read(tmp_path / "run" / "tasks" / "made__up" / "predictions.parquet")
    shuffled = {variant: rows[::-1] for variant, rows in file.variants.items()}
    assert numbers("hit@1", shuffled, "made/up", ALSO) == numbers("hit@1", file.variants, "made/up", ALSO)
    assert numbers("hit@1", shuffled, "made/up", ALSO).low == result.low


def test_first_difference() -> None:
    assert first_difference({"a": [1, 2.0]}, {"a": [1.0, 2.0 + 1e-12]}) == ""
    assert first_difference({"a": [1, 2]}, {"a": [1, 3], "b": 1}) == "a.1: says 2, computed 3"
    assert first_difference({"a": [1]}, {"a": [1, 2]}) == "a: says [1], computed [1, 2]"
    assert first_difference({"a": True}, {"a": 1.5}) == "a: says True, computed 1.5"
