"""Reports: readable at 80 columns and wide, and nothing in a name can act."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from benchmarks.report import FORMATS, clean, model_label, render
from benchmarks.results import result_to_json
from benchmarks.types import Result
from fuselip.core.errors import UsageError, UserError

EVIL = (
    "=cmd|'/c calc'!A1 [red]x[/red] \x1b[31mred\x1b[0m \x1b]8;;http://x\x07 a|b_c & 50% $x$ <script> {y}~^\\\n\u202ernd"
)


def result(name: str = "tgit/rotate", **more: Any) -> Result:
    fields: dict[str, Any] = {
        "version": 1, "data_hash": "d", "metric": "hit@1", "value": 0.7621, "low": 0.70149, "high": 0.8151,
        "interval": "cluster bootstrap (few clusters)", "chance": 1 / 18, "n": 180, "clusters": 9, "seconds": 1.5,
        "controls": {"constant": 1 / 18, "random": 0.06, "oracle": 1.0, "image_only": 0.1, "text_only": None},
        "metrics": {"hit@1": {"value": 0.7621, "low": 0.70149, "high": 0.8151, "chance": 1 / 18}},
    } | more  # fmt: skip
    return Result(name=name, **fields)


def summary(*results: Result, label: str = "fuselip-b", source: str = "random") -> dict[str, Any]:
    return {
        "schema": 1, "model": {"name": label}, "weights": {"source": source}, "suite": "quick",
        "peak_memory_mb": 812.4, "seconds": 12.34, "tasks": [result_to_json(row) for row in results or [result()]],
    }  # fmt: skip


@pytest.mark.parametrize("width", [80, 200])
def test_a_table_shows_score_interval_chance_and_controls(width: int) -> None:
    names = ["tgit/rotate", "open_images/crop_positional_with_a_long_name"]
    text = render(summary(*(result(name) for name in names), result("a/b", interval="wilson")), "table", width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "fuselip-b [random init] on quick" in text
    assert ("76.2*" in text and "70.1–81.5" in text) if width == 80 else ("76.2 [70.1, 81.5]*" in text)
    row = " ".join(next(line for line in lines if "tgit/rotate" in line).split())
    assert "76.2" in row
    blind, gap = ("", "") if width == 80 else (" n/a", " n/a")  # at 80 columns they stand under chance and norm.
    assert row.endswith(f"5.6{blind} 74.8{gap} 5.6 6.0 100.0 10.0 n/a")
    assert "* fewer than 10 source images" in text
    assert "12.3 s, peak memory 812 MiB" in text
    assert "…" not in text


def test_marks_warnings_and_skips_are_footnotes() -> None:
    rows = [
        result(
            "x",
            interval="wilson (one cluster)",
            warnings=["the embeddings collapsed"],
            skipped=[{"item": "a", "reason": "b"}],
        )
    ]
    for format_ in ("table", "md", "latex"):
        text = " ".join(render(summary(*rows), format_, 100).split())
        assert "x: the embeddings collapsed" in text
        assert "x: 1 items skipped" in text
        assert "single source image" in text
    assert "few" not in render(summary(result(interval="wilson")), "table", 100)


AUDITED: dict[str, Any] = {
    "audit": {
        "blind": {"characters": 0.996, "bag_of_words": 0.8},
        "unimodal": {},
        "needs_fusion": False,
        "reason": "characters reach 99.6",
    },
    "composition": {"gap": 0.1234, "low": -0.01, "high": 0.25, "part": "text_only"},
}


@pytest.mark.parametrize("format_", list(FORMATS))
@pytest.mark.parametrize("width", [80, 200])
def test_shortcuts_stand_beside_the_score(format_: str, width: int) -> None:
    text = render(summary(result("a/b", **AUDITED), result("c/d")), format_, width)
    if format_ == "csv":
        first, second = csv.DictReader(io.StringIO(text))
        assert (first["characters"], first["needs_fusion"], first["gap_low"]) == ("0.996", "false", "-0.01")
        assert (second["characters"], second["needs_fusion"], second["gap"]) == ("", "", "")
        return
    mark = r"\S{}" if format_ == "latex" else "§"
    assert f"*{mark}" in text.replace("\\", "" if format_ == "md" else "\\")
    assert text.count(mark) == 2  # the score of one task, and the footnote
    assert "needs no fusion: a/b (characters reach 99.6)" in " ".join(text.split())
    assert "+12.3" in text
    assert ("-1.0" in text) == (format_ != "table" or width > 80)
    assert "99.6" in text.split("needs no fusion")[0]
    if format_ == "table":
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("change", [
    {"audit": {"blind": {"characters": "x"}}},
    {"audit": {"blind": []}},
    {"audit": {"reason": 3}},
    {"audit": {"needs_fusion": 1}},
    {"composition": {"gap": 0.1}},
    {"composition": {**AUDITED["composition"], "part": None}},
])  # fmt: skip
def test_an_odd_audit_is_a_user_error(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="task 0 of the summary"):
        render(summary(result(**change)))


def test_untrained_weights_are_never_left_unsaid() -> None:
    assert model_label(summary()) == "fuselip-b [random init]"
    assert model_label(summary(label="fuselip-b [random init]")) == "fuselip-b [random init]"
    assert model_label(summary(source="local")) == "fuselip-b"
    assert model_label({"weights": None}) == "unnamed model"
    for format_ in FORMATS:
        text = render(summary(), format_, 100)
        assert "random init" in text


@pytest.mark.parametrize("format_", list(FORMATS))
def test_nothing_in_a_name_can_act(format_: str) -> None:
    text = render(summary(result(EVIL, warnings=[EVIL]), label=EVIL), format_, 300)
    assert not any(char in text for char in "\x1b\x07\r\u202e")
    if format_ == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == 2
        assert rows[1][0].startswith("'=cmd|")
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in rows[1])
    if format_ == "md":
        assert "<script>" not in text
        assert r"a\|b\_c" in text
        assert text.count("\n| ") == 2
    if format_ == "latex":
        assert r"a|b\_c \& 50\% \$x\$ \textless{}script\textgreater{} \{y\}\textasciitilde{}" in text
        assert r"\textasciicircum{}\textbackslash{}" in text
    if format_ == "table":
        assert "[red]x[/red]" in text  # shown as it is, not obeyed


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r="])
def test_csv_formulas_are_guarded_and_numbers_are_not(start: str) -> None:
    text = render(summary(result(start + "1", value=0.01)), "csv")
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["name"].startswith("'")
    assert float(row["normalised"]) < 0
    assert float(row["value"]) == 0.01
    assert row["text_only"] == ""


def test_csv_is_unrounded() -> None:
    row = next(csv.DictReader(io.StringIO(render(summary(), "csv"))))
    assert float(row["chance"]) == 1 / 18
    assert (row["model"], row["suite"], row["n"]) == ("fuselip-b [random init]", "quick", "180")


def test_markdown_and_latex_tables_have_equal_cells_in_every_row() -> None:
    table = [line for line in render(summary(), "md").splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {13}
    rows = [line for line in render(summary(), "latex").splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {11}


def test_clean() -> None:
    assert clean("a\x1b[1;31mb\x1b[0m\n\tc\u200b\ud800\x00 \x9b d") == "ab c d"


def test_what_cannot_be_rendered() -> None:
    with pytest.raises(UsageError, match="did you mean 'latex'"):
        render(summary(), "latx")
    with pytest.raises(UserError, match="no list of tasks"):
        render({"schema": 1})
    with pytest.raises(UserError, match="task 0 of the summary"):
        render({"tasks": [{"name": "x"}]})
