"""What evaluation servers take: the publishers' own format, all names that are meant, and nothing they would refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import controls, server_files
from benchmarks.tasks import TASKS
from benchmarks.types import Candidate, Query, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import Input


def gallery(count: int) -> dict[str, Candidate]:
    return {f"{n}": Candidate(f"{n}", (Input(text=f"picture {n}"),)) for n in range(1000, 1000 + count)}


def task(name: str, pictures: dict[str, Candidate], **query: Any) -> tuple[TaskSpec, TaskData]:
    """A task of two queries without answers."""
    queries = tuple(Query(key, Input(text=f"question {key}"), {}, **query) for key in ("0", "1"))
    return replace(TASKS[name], counts={"queries": 2}), TaskData(queries, pictures)


def test_circo_file_holds_fifty_numbers_in_rank_order(tmp_path: Path) -> None:
    spec, data = task("circo/test", gallery(70))
    ranked = controls.random(data)
    server_files.write(tmp_path / "submit.json", spec, data, ranked)
    value = json.loads((tmp_path / "submit.json").read_text())
    assert value == {row.query: [int(key) for key, _ in row.top[:50]] for row in ranked}
    server_files.validate("circo", value, data)


def test_cirr_files_have_their_header_and_leave_the_reference_out() -> None:
    spec, data = task("cirr/test", gallery(60), exclude=frozenset({"1007"}))
    value = server_files.build(spec, data, controls.random(data))
    assert (value.pop("version"), value.pop("metric")) == ("rc2", "recall")
    assert set(value) == {"0", "1"}
    assert all(len(set(names)) == 50 and "1007" not in names for names in value.values())
    spec, data = task("cirr/test-subset", gallery(60), candidates=("1001", "1002", "1003", "1004", "1005"))
    value = server_files.build(spec, data, controls.random(data))
    assert value["metric"] == "recall_subset"
    assert all(len(value[key]) == 3 and set(value[key]) <= {f"100{n}" for n in range(1, 6)} for key in "01")


def test_equal_pictures_are_all_named() -> None:
    """A ranking keeps one name of a bundle; the server's answer may be any of them."""
    same = (Input(text="one picture under three names"),)
    copies = {key: Candidate(key, same) for key in ("1", "2", "3")}
    spec, data = task("cirr/test-subset", copies, exclude=frozenset())
    value = server_files.build(spec, data, controls.random(data))
    assert value["0"] == ["1", "2", "3"]
    spec, data = task("cirr/test-subset", {**copies, **gallery(2)}, exclude=frozenset({"2"}))
    value = server_files.build(spec, data, controls.random(data))
    assert "2" not in value["0"]


CIRR: dict[str, Any] = {"version": "rc2", "metric": "recall_subset", "7": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("cirr", CIRR, "no kind of server file 'cirr'"),
        ("cirr-recall_subset", [], "is an object, not a list"),
        ("cirr-recall_subset", {**CIRR, "version": "rc1"}, "this one says 'rc1'"),
        ("cirr-recall", CIRR, "says 'metric': 'recall'"),
        ("cirr-recall_subset", {**CIRR, "7": ["a", "b"]}, "2 different names of 2, where 3"),
        ("cirr-recall_subset", {**CIRR, "7": ["a", "b", "a"]}, "2 different names of 3"),
        ("cirr-recall_subset", {**CIRR, "7": ["a", "b", 3]}, "a list of names is needed"),
        ("cirr-recall_subset", {**CIRR, "x7": ["a", "b", "c"]}, "named by their number"),
        ("cirr-recall_subset", {key: CIRR[key] for key in ("version", "metric")}, "answers no query"),
        ("circo", {"0": [True] * 50}, "a list of whole numbers"),
        ("circo", {"0": [1.0] * 50}, "a list of whole numbers"),
    ],
)
def test_files_that_the_server_would_refuse(kind: str, value: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        server_files.validate(kind, value)


def test_names_and_queries_must_be_the_tasks() -> None:
    _, data = task("cirr/test-subset", gallery(4), exclude=frozenset({"1000"}))
    good: dict[str, Any] = {"version": "rc2", "metric": "recall_subset", "0": ["1001", "1002", "1003"]}
    good["1"] = good["0"]
    server_files.validate("cirr-recall_subset", good, data)
    for change, says in (
        ({"0": ["1000", "1001", "1002"]}, "names '1000', which it does not rank"),
        ({"0": ["9", "1001", "1002"]}, "names '9'"),
        ({"2": good["0"]}, "'2' is in only one"),
    ):
        with pytest.raises(UserError, match=says):
            server_files.validate("cirr-recall_subset", {**good, **change}, data)


def test_only_whole_runs_of_tasks_with_a_server() -> None:
    spec, data = task("circo/test", gallery(70))
    ranked = controls.random(data)
    with pytest.raises(UserError, match="no prediction of query '1'"):
        server_files.build(spec, data, ranked[:1])
    with pytest.raises(UserError, match="wants all 800 queries, not 2"):
        server_files.build(TASKS["circo/test"], data, ranked)
    with pytest.raises(UserError, match="circo/val has no evaluation server"):
        server_files.build(TASKS["circo/val"], data, ranked)
    with pytest.raises(UserError, match="is no candidate of the task"):
        server_files.build(spec, replace(data, candidates=gallery(0)), ranked)
    assert server_files.kind_of(TASKS["circo/val"]) == ""
