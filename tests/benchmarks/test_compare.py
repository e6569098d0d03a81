"""Comparing runs: tests worked out by hand, refusals, and the command on real small runs."""

from __future__ import annotations

import csv
import io
import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import evaluate, paired, stats
from benchmarks.compare import compare
from benchmarks.compare_command import compare as command
from benchmarks.compare_report import FORMATS, render
from benchmarks.metrics import Unit
from fuselip.core.console import Group
from fuselip.core.errors import UserError
from tests.benchmarks.pictures import Thumbnails, draw

CLI = Group(commands={"compare": command})


def units(values: list[float], clusters: list[str] | None = None) -> list[Unit]:
    named = clusters or [""] * len(values)
    return [Unit(f"q{n:04}", cluster, value, 0.5) for n, (value, cluster) in enumerate(zip(values, named, strict=True))]


def test_mcnemar_by_hand() -> None:
    """1 gained, 6 lost: 2 x (C(7,0) + C(7,1)) / 2^7 = 16 / 128."""
    assert paired.mcnemar(1, 6) == paired.mcnemar(6, 1) == 16 / 128
    assert paired.mcnemar(0, 5) == 2 / 32
    assert paired.mcnemar(3, 3) == paired.mcnemar(0, 0) == 1.0
    assert paired.mcnemar(4000, 4400) == pytest.approx(math.erfc(399 / math.sqrt(2 * 8400)), rel=0.01)


def test_sign_flips_by_hand() -> None:
    """Sums 3, 1, -1: |total| = 3 of the 8 changes of sign 5, 3, 3, 1, 1, 3, 3, 5 reach 3 in 6."""
    assert paired.sign_flips(np.array([3.0, 1.0, -1.0]), "t") == (6 / 8, "exact permutation")
    assert paired.sign_flips(np.array([1.0, 1.0, 1.0, 0.0]), "t") == (2 / 8, "exact permutation")
    assert paired.sign_flips(np.zeros(4), "t")[0] == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_sign_flips_count_every_change_of_sign(sums: list[int]) -> None:
    moved = [value for value in sums if value]
    totals = [
        abs(sum(s * v for s, v in zip(signs, moved, strict=True))) for signs in product((-1, 1), repeat=len(moved))
    ]
    expected = sum(total >= abs(sum(moved)) for total in totals) / len(totals)
    assert paired.sign_flips(np.array(sums, dtype=float), "t")[0] == expected


def test_independent_questions_of_0_and_1_are_mcnemar_and_agree_with_sign_flips() -> None:
    one, two = units([1.0] * 6 + [0.0] + [1.0] * 20), units([0.0] * 6 + [1.0] + [1.0] * 20)
    assert paired.p_value(one, two, "t") == (0.125, "exact McNemar")
    assert paired.sign_flips(paired.changes(one, two)[0], "t")[0] == 0.125
    halves = units([0.5] * 27)
    assert paired.p_value(halves, two, "t")[1] == "permutation"
    clustered = [units([u.value for u in each], ["a", "a", "b"] * 9) for each in (one, two)]
    assert paired.p_value(*clustered, "t")[1] == "exact permutation"


def test_drawn_signs_come_near_the_exact_tail() -> None:
    p, test = paired.sign_flips(np.ones(15), "t")
    assert test == "permutation"
    assert 1 / 10001 <= p <= 0.001  # exactly 2 / 2^15
    even, _ = paired.sign_flips(np.array([1.0, -1.0] * 10 + [1.0] * 5), "t")
    assert even == pytest.approx(paired.mcnemar(15, 10), abs=0.02)
    assert paired.sign_flips(np.array([1.0, -1.0] * 10 + [1.0] * 5), "t")[0] == even


def test_holm_by_hand() -> None:
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([0.5, 0.6]) == [1.0, 1.0]
    assert paired.holm([0.04, 0.001, 0.02, 0.5]) == pytest.approx([0.08, 0.004, 0.06, 0.5])
    assert paired.holm([]) == []


def test_the_interval_is_paired_by_cluster() -> None:
    one = [float(n % 2) for n in range(400)]
    two = [1.0 if n % 20 == 0 else value for n, value in enumerate(one)]
    changed, clusters = paired.changes(units(one), units(two))
    found = paired.interval(changed, clusters, "t")
    assert found.value == pytest.approx(0.05)
    assert 0.025 < found.low < 0.05 < found.high < 0.075
    wide = paired.interval(changed, [f"i{n // 20}" for n in range(400)], "t")
    assert wide.method == "clusters agree"  # every source gained alike
    assert wide.low < 0 < wide.high < 0.3
    nothing = paired.interval(np.zeros(100), [""] * 100, "t")
    assert nothing.low == -nothing.high == pytest.approx(-stats.wilson(0.0, 100)[1])


def test_what_can_be_told_apart() -> None:
    """100 independent changes with standard deviation 1: the standard error is 0.1, to be exceeded 2.8 times."""
    changed = np.array([1.0, -1.0] * 50)
    gap = paired.detectable(changed, [""] * 100)
    assert gap == pytest.approx(2.8016 * math.sqrt(1 / 99), rel=1e-4)
    assert paired.needed(changed, [""] * 100) is None
    tilted = np.array([1.0] * 60 + [-1.0] * 40)
    gap = paired.detectable(tilted, [""] * 100)
    assert gap is not None
    assert paired.needed(tilted, [""] * 100) == math.ceil(100 * (gap / 0.2) ** 2)
    assert paired.detectable(np.ones(5), ["a"] * 5) is None


def test_the_mean_over_tasks_draws_shared_images_at_once() -> None:
    changed = np.array([1.0, -1.0] * 40)
    names = [f"i{n}" for n in range(80)]
    shared, _ = paired.macro({"a": (changed, names), "b": (changed, names)}, "t")
    apart, _ = paired.macro({"a": (changed, names), "b": (changed, [f"j{n}" for n in range(80)])}, "t")
    assert shared.value == apart.value == 0
    assert (shared.high - shared.low) > 1.25 * (apart.high - apart.low)  # in truth by the root of 2
    unlike, p = paired.macro({"a": (np.ones(10), [""] * 10), "b": (np.zeros(1000), [""] * 1000)}, "t")
    assert unlike.value == 0.5  # each task counts once
    assert p == 2 / 2**10


class Taller(Thumbnails):
    """As Thumbnails, with other words: they disagree on some questions."""

    def encode(self, inputs: Any) -> np.ndarray:
        return np.stack([np.concatenate([self.picture(item), 30 * self.words(item.text)]) for item in inputs])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    source = f"folder:{draw(folder / 'pictures', 3)}"
    for name, encoder in (("a", Thumbnails()), ("b", "random"), ("c", Taller())):
        evaluate(encoder, tasks=["tgit/crop", "tgit/flip"], source=source, output=folder / name)
    return [folder / name for name in "abc"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(CLI, ["compare", *map(str, arguments)])


def test_the_command_says_scores_difference_and_p(runs: list[Path]) -> None:
    done = call(*runs[:2], "--format", "json", "--queries", 3)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [run["letter"] for run in told["runs"]] == ["A", "B"]
    assert told["runs"][1]["label"] == "random"
    for row in told["tasks"]:
        scores = [
            json.loads((run / "tasks" / row["task"].replace("/", "__") / "result.json").read_text())["value"]
            for run in runs[:2]
        ]
        assert row["scores"] == scores
        assert row["difference"] == pytest.approx(scores[1] - scores[0])
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["p"] <= row["holm"] <= 1
        assert row["test"] == "exact permutation"
        assert row["clusters"] == 3
    [macro] = told["macro"]
    assert macro["difference"] == pytest.approx(np.mean([row["difference"] for row in told["tasks"]]))
    listed = told["queries"]
    assert 3 <= len(listed) <= 6
    assert all(row["scores"][0] != row["scores"][1] and row["answers"] for row in listed)
    crops = [row for row in listed if row["task"] == "tgit/crop"]
    assert all(row["picks"][0] in row["answers"] for row in crops if row["scores"][0] == 1)


def test_a_run_does_not_differ_from_itself(runs: list[Path]) -> None:
    for row in compare([runs[0], runs[0]], queries=5).rows:
        assert (row.difference, row.p, row.holm, row.needed) == (0, 1, 1, None)
        assert row.low < 0 < row.high
    assert not compare([runs[0], runs[0]], queries=5).queries


def test_three_runs_are_three_pairs(runs: list[Path]) -> None:
    found = compare(runs)
    pairs = product(["tgit/crop", "tgit/flip"], ["AB", "AC", "BC"])
    assert [(row.task, row.first + row.second) for row in found.rows] == list(pairs)
    assert [row.holm for row in found.rows] == paired.holm([row.p for row in found.rows])
    assert len(found.macro) == 3


@pytest.mark.parametrize("format_", list(FORMATS))
def test_every_format_is_readable(runs: list[Path], format_: str) -> None:
    text = render(compare(runs, queries=2), format_, 80)
    assert text.endswith("\n")
    assert "macro average" in text
    if format_ == "table":
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
        assert "A picks" in " ".join(text.split())
    if format_ == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == 9
        assert float(rows[0]["p"]) <= float(rows[0]["holm"])
    if format_ == "md":
        assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def copy(run: Path, to: Path) -> Path:
    for path in run.rglob("*"):
        if path.is_file() and path.name != ".lock":
            (to / path.relative_to(run)).parent.mkdir(parents=True, exist_ok=True)
            (to / path.relative_to(run)).write_bytes(path.read_bytes())
    return to


def edit(run: Path, task: str, **changes: Any) -> None:
    """What somebody could write into a result and the header of its predictions."""
    folder = run / "tasks" / task
    told = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**told, **changes}))
    table = pq.read_table(folder / "predictions.parquet")
    header = {**table.schema.metadata, **{key.encode(): str(value).encode() for key, value in changes.items()}}
    pq.write_table(table.replace_schema_metadata(header), folder / "predictions.parquet")


@pytest.mark.parametrize(("change", "named"), [
    ({"data_hash": "0" * 64}, "tgit/crop: data_hash is"),
    ({"version": 7}, "tgit/crop: version is 1 in .* and 7 in"),
    ({"metric": "mrr"}, "tgit/crop: metric is hit@1 in .* and mrr in"),
])  # fmt: skip
def test_other_questions_are_refused(runs: list[Path], tmp_path: Path, change: dict[str, Any], named: str) -> None:
    other = copy(runs[1], tmp_path / "other")
    edit(other, "tgit__crop", **change)
    with pytest.raises(UserError, match=named):
        compare([runs[0], other])


def test_other_tasks_are_refused_and_nothing_in_a_folder_is_believed(runs: list[Path], tmp_path: Path) -> None:
    other = copy(runs[1], tmp_path / "other")
    result = other / "tasks" / "tgit__crop" / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "value": 1.0}))
    assert compare([runs[0], other]).rows[0].scores[1] < 1  # computed from the predictions
    result.write_text(json.dumps({**json.loads(result.read_text()), "data_hash": "0"}))
    with pytest.raises(UserError, match=r"result\.json says data_hash '0'"):
        compare([runs[0], other])
    result.unlink()
    with pytest.raises(UserError, match=r"has task tgit/crop, .* does not"):
        compare([runs[0], other])
    predictions = other / "tasks" / "tgit__flip" / "predictions.parquet"
    rows = pq.read_table(predictions)
    pq.write_table(pa.Table.from_pylist(rows.to_pylist()[::-1], schema=rows.schema), predictions)
    with pytest.raises(UserError, match="edited or is damaged"):
        compare([runs[0], other])
    assert call(runs[0], tmp_path / "none").exit_code == 1
    assert call(runs[0]).exit_code == 2
