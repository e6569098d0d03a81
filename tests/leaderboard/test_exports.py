"""Exports: what was chosen, read back; hostile text that must stay text in a spreadsheet, in TeX and in Markdown."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lb_board import entries, small, specs, task_names, units

from fuselip.core.errors import UsageError
from leaderboard.board import Board
from leaderboard.compose import compose
from leaderboard.exports import DEFAULT, FORMATS, PLAIN, export

BOARD = small()
ALL = [*PLAIN, *(f"task:{t.name}" for t in BOARD.tasks), *(f"family:{f.name}" for f in BOARD.families)]


def named(name: str) -> Board:
    """A board of one encoder, called `name` and other things like it."""
    asked = units(task_names(2), np.array([[0.5, 0.5]]))
    (entry,) = entries(asked, 1)
    hostile = dict.fromkeys(("name", "organisation", "revision", "licence", "fusion_policy", "training_data"), name)
    entry = replace(entry, metadata={**entry.metadata, **hostile})
    return compose([entry], asked, tasks=specs(list(asked)), made={})


def test_csv_reads_back_what_the_board_holds() -> None:
    wanted = ["name", "rank", "coverage", "average", "task:tgit/crop", "family:transforms"]
    rows = list(csv.DictReader(io.StringIO(export(BOARD, "csv", columns=wanted))))
    assert len(rows) == len(BOARD.rows)
    for row, held in zip(rows, BOARD.rows, strict=True):
        assert row["name"] == held.name
        assert row["average"] == ("" if held.average is None else str(held.average.value))
        assert row["rank worst"] == ("" if held.rank is None else str(held.rank.worst))
        assert row["coverage of"] == str(held.coverage.of)
        if held.comparable:
            assert float(row["task:tgit/crop low"]) == held.scores["tgit/crop"].low


def test_rows_and_columns_come_in_the_order_asked_for() -> None:
    ids = [row.id for row in BOARD.rows][2::-1]
    found = json.loads(export(BOARD, "json", rows=ids, columns=["id", "task:digits/zero-shot"]))
    assert [row["id"] for row in found["rows"]] == ids
    assert found["columns"] == ["id", "task:digits/zero-shot"]
    assert found["rows"][0]["task:digits/zero-shot"]["chance"] == 0.1


@pytest.mark.parametrize("format_", FORMATS)
def test_every_column_has_every_form(format_: str) -> None:
    text = export(BOARD, format_, columns=ALL)
    assert text.endswith("\n")
    assert text == export(BOARD, format_, columns=ALL)
    assert BOARD.rows[0].name in text
    assert export(BOARD, format_, rows=[])


@pytest.mark.parametrize("format_", ["md", "latex"])
def test_a_printed_table_says_what_its_reader_must_know(format_: str) -> None:
    text = export(BOARD, format_, columns=[*DEFAULT, "task:scenes/vqa-color"])
    for said in ("no average and no rank", "not comparable", "2506.03096", "needs no fusion", "Holm"):
        assert said in text
    ours = export(BOARD, format_, rows=[BOARD.rows[0].id], columns=["name"])
    assert "2506.03096" not in ours


@pytest.mark.parametrize(
    ("format_", "rows", "columns"),
    [("xls", None, None), ("csv", ["nobody"], None), ("csv", None, ["nmae"]), ("csv", None, ["task:none"]),
     ("csv", None, ["task:"]), ("csv", None, ["__class__"]), ("csv", None, ["skills"])],
)  # fmt: skip
def test_what_is_not_there_is_said(format_: str, rows: list[str] | None, columns: list[str] | None) -> None:
    with pytest.raises(UsageError, match="the board has no"):
        export(BOARD, format_, rows=rows, columns=columns)


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=cmd|' /C calc'!A0", " =HYPERLINK(1)", "\x00=1", "\u202e=1"]
)
def test_no_cell_of_a_spreadsheet_is_a_formula(name: str) -> None:
    rows = list(csv.reader(io.StringIO(export(named(name), "csv", columns=list(PLAIN)))))
    cells = [cell for row in rows for cell in row]
    assert cells
    for cell in cells:
        assert re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", cell) or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=r"\{}$&#%_~^[]<>|`*!^^ab" + "\n\t\r\"'=é§", max_size=30))
def test_hostile_names_stay_text(name: str) -> None:
    held = named(name)
    tex = export(held, "latex", columns=["name", "organisation", "task:tgit/crop"])
    body = next(line for line in tex.splitlines() if line.endswith(r"\\") and not line.startswith("encoder"))
    commands = set(re.findall(r"\\([a-zA-Z]+|.)", body.removesuffix(r"\\").rstrip()))
    assert commands <= {
        *"{}$&#%_",
        "textbackslash",
        "textasciitilde",
        "textasciicircum",
        "textless",
        "textgreater",
        "S",
    }
    assert len(re.findall(r"(?<!\\)&", body)) == 2
    assert not re.search(r"(?<!\\)[$#%_]", body)
    table = export(held, "md", columns=["name", "badge"]).splitlines()[2]
    assert len(re.findall(r"(?<!\\)\|", table)) == 3
    assert "<" not in table
    found = json.loads(export(held, "json", columns=["name"]))
    assert found["rows"][0]["name"] == name
    (row,) = list(csv.reader(io.StringIO(export(held, "csv", columns=["name", "badge"]))))[1:]
    assert row[1] == "consistent"


def test_a_hostile_source_or_audit_is_escaped_in_notes() -> None:
    rows = [msgspec.structs.replace(row, source=r"\input{/etc/passwd}") for row in BOARD.rows]
    tasks = [msgspec.structs.replace(task, audit=r"\write18{x} <b>") for task in BOARD.tasks]
    held = msgspec.structs.replace(BOARD, rows=rows, tasks=tasks)
    tex = export(held, "latex", columns=["name", "task:scenes/vqa-color"])
    assert r"\input" not in tex
    assert r"\write" not in tex
    assert "<b>" not in export(held, "md", columns=["name", "task:scenes/vqa-color"])
