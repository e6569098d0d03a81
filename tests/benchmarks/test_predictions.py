"""predictions.parquet: the same bytes for the same content, whole on reading, and nothing believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_cases import ask, data_of

from benchmarks import controls, predictions
from benchmarks.score import rank
from benchmarks.types import Prediction, TargetRank
from fuselip.core.errors import UserError

HEADER = {"task": "made/up", "version": "1", "data_hash": "d" * 64, "encoder": "näme"}


def variants(num_queries: int = 6, num_candidates: int = 8, seed: int = 0) -> dict[str, list[Prediction]]:
    texts = {f"c{number}": f"text {number % (num_candidates - 1)}" for number in range(num_candidates)}
    tags = {"cell": "upper left", "angle": -30, "strength": 0.5, "plain": True}
    queries = [
        ask(f"q{n}", {f"c{n % num_candidates}": 1, f"c{(n + 3) % num_candidates}": 2}, cluster=f"i{n // 2}", tags=tags)
        for n in range(num_queries)
    ]
    data = data_of(texts, *queries)
    contents = controls.data_contents(data)
    numbers = np.random.default_rng(seed)
    asked, vectors = numbers.standard_normal((num_queries, 3)), numbers.standard_normal((len(contents), 3))
    return {"model": rank(queries, data, asked, contents, vectors), **controls.predictions(data)}


def written(tmp_path: Path, found: dict[str, list[Prediction]] | None = None) -> Path:
    path = tmp_path / "predictions.parquet"
    predictions.write(path, variants() if found is None else found, HEADER)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = variants(num_candidates=150)
    file = predictions.read(written(tmp_path, found))
    assert file.header == HEADER
    assert file.variants == found
    assert found["model"][0].truncated


def test_equal_content_gives_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    first = written(tmp_path / "a", variants())
    shuffled = {name: rows[::-1] for name, rows in reversed(variants().items())}
    predictions.write(tmp_path / "b.parquet", shuffled, dict(reversed(HEADER.items())))
    assert first.read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_many_rows_are_written_in_several_groups(tmp_path: Path) -> None:
    row = variants()["model"][0]
    rows = [replace(row, query=f"q{number:05}") for number in range(predictions.ROWS + 5)]
    path = written(tmp_path, {"model": rows})
    assert pq.ParquetFile(path).num_row_groups == 2
    assert predictions.read(path).variants["model"] == rows


def test_the_writer_refuses_what_could_not_be_read_back(tmp_path: Path) -> None:
    rows = variants()["model"]
    with pytest.raises(ValueError, match="twice"):
        predictions.write(tmp_path / "p", {"model": [rows[0], rows[0]]}, HEADER)
    with pytest.raises(ValueError, match="guess"):
        predictions.write(tmp_path / "p", {"guess": rows}, HEADER)
    with pytest.raises(ValueError, match="data_hash"):
        predictions.write(tmp_path / "p", {"model": rows}, {"task": "t", "version": "1"})
    assert not (tmp_path / "p").exists()


def test_a_missing_cut_or_foreign_file_is_a_user_error(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    with pytest.raises(UserError, match="missing"):
        predictions.read(tmp_path / "none.parquet")
    for damage in (whole[:-20], whole[: len(whole) // 2], b"", b"not parquet at all, but long enough"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match="damaged"):
            predictions.read(path)
    pq.write_table(pa.table({"variant": ["model"]}), path)
    with pytest.raises(UserError, match="columns"):
        predictions.read(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_flipped_byte_goes_unseen_or_crashes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.parquet"
    found = variants()
    predictions.write(path, found, HEADER)
    whole = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        file = predictions.read(path)
    except UserError:
        return
    assert file.variants == found  # the flip hit a part that says nothing, such as a statistic


def edit(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """What somebody with pyarrow could do: change rows, keep schema and header."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def set_in(row: int, column: str, value: Any) -> Callable[[list[dict[str, Any]]], object]:
    return lambda rows: rows[row].update({column: value})


def promote(rows: list[dict[str, Any]]) -> None:
    """Claim the first place for an answer that does not have it."""
    row = next(r for r in rows if r["targets"][0]["above"] > 0 and r["targets"][0]["key"] in r["top_keys"])
    row["targets"][0]["above"] = 0


@pytest.mark.parametrize("change", [
    promote,
    set_in(0, "pool", 9),
    set_in(0, "pool", 0),
    set_in(0, "truncated", True),
    set_in(0, "variant", "guess"),
    set_in(0, "tags", "{"),
    set_in(0, "tags", '{"a": [1]}'),
    set_in(0, "tags", "[]"),
    set_in(0, "targets", []),
    set_in(0, "targets", [{"key": "c0", "above": None, "tied": 0, "gain": 1.0}]),
    set_in(0, "targets", [{"key": "c0", "above": -1, "tied": 0, "gain": 1.0}]),
    set_in(0, "targets", [{"key": "zz", "above": 0, "tied": 0, "gain": 1.0}]),
    set_in(0, "targets", [None]),
    set_in(0, "top_scores", []),
    set_in(0, "cluster", "another"),
    lambda rows: rows[0]["targets"][0].update(gain=0.9),
    lambda rows: rows[0]["targets"][0].update(gain=float("nan")),
    lambda rows: rows[0]["top_scores"].__setitem__(0, float("nan")),
    lambda rows: rows[0]["top_scores"].__setitem__(0, -1.0),
    lambda rows: rows[0]["top_keys"].__setitem__(0, rows[0]["top_keys"][1]),
    lambda rows: rows[0]["targets"][1].update(above=rows[0]["targets"][0]["above"], tied=3),
    lambda rows: rows.reverse(),
    lambda rows: rows.append(dict(rows[-1])),
    lambda rows: rows.pop(2),
    lambda rows: rows.clear(),
])  # fmt: skip
def test_edited_rows_are_a_user_error(tmp_path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = written(tmp_path)
    edit(path, change)
    with pytest.raises(UserError, match="edited or is damaged"):
        predictions.read(path)


def test_the_header_must_say_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path)
    table = pq.read_table(path)
    for header in ({}, {"schema": "2", **HEADER}, {"schema": "1", "task": "t"}):
        pq.write_table(table.replace_schema_metadata(header), path)
        with pytest.raises(UserError, match=r"schema|does not say"):
            predictions.read(path)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_every_prediction_of_ours_is_consistent(seed: int, digits: int) -> None:
    """Also with near ties (rounded scores) and lists that are cut."""
    numbers = np.random.default_rng(seed)
    texts = {f"c{number}": f"text {number}" for number in range(12)}
    queries = [ask(f"q{n}", {f"c{n}": 1, f"c{n + 3}": 1, f"c{n + 5}": 1}) for n in range(4)]
    data = data_of(texts, *queries)
    contents = controls.data_contents(data)
    scores = 0.5 + np.round(numbers.standard_normal((12, 4)), digits) * 1e-6
    vectors = np.concatenate([scores, np.sqrt(1 - (scores**2).sum(1, keepdims=True).clip(0, 1))], axis=1)
    for top in (100, 5):
        for found in rank(queries, data, np.eye(4, 5), contents, vectors, top=top):
            assert predictions.inconsistency(found) == ""


def test_tags_are_stored_as_json(tmp_path: Path) -> None:
    tags = pq.read_table(written(tmp_path))["tags"][0].as_py()
    assert json.loads(tags) == {"cell": "upper left", "angle": -30, "strength": 0.5, "plain": True}


def test_a_target_outside_a_cut_list_may_stand_below_it_only() -> None:
    row = Prediction("q", "", "", {}, 9, (TargetRank("t", 3, 0, 1.0),), (("a", 0.5), ("b", 0.4)), truncated=True)
    assert predictions.inconsistency(row) == ""
    assert "not among" in predictions.inconsistency(replace(row, targets=(TargetRank("t", 1, 0, 1.0),)))
