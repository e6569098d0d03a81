"""The static pages: what is written, that nothing of a stranger becomes markup, and the questions of the drill-down."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("sqlalchemy")

import msgspec
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from lb_board import small
from lb_bundles import make_bundle

from benchmarks.types import Candidate, Prediction, Query, TaskData
from fuselip.core.errors import UsageError
from fuselip.core.types import Input
from leaderboard.board import Board, Interval
from leaderboard.cli import main
from leaderboard.site import build, columns, marks, words
from leaderboard.site.pages import http
from leaderboard.site.questions import disagreed, questions
from leaderboard.types import Answer

NASTY = """<script>alert(1)</script>"'><svg onload=alert(2)>&amp;</script><!--"""


class Reader(HTMLParser):
    """Elements and attributes of a page, and the text of its JSON blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.elements.append((tag, named))
        self._open = str(named.get("id")) if tag == "script" and named.get("type") == "application/json" else ""

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.blocks[self._open] = self.blocks.get(self._open, "") + data


def nasty() -> Board:
    """A board whose strings are all hostile, but for those the leaderboard makes itself."""
    board = small()
    row = msgspec.structs.replace(
        board.rows[0],
        **dict.fromkeys(("name", "organisation", "revision", "licence", "fusion_policy", "training_data"), NASTY),
        link="javascript:alert(1)",
        flags=[NASTY],
        reproduce=NASTY,
        provenance={NASTY: NASTY, "nested": {NASTY: NASTY}, "list": [NASTY]},
        throughput={"inputs_per_second": 5.0, "machine": {"cpu": NASTY, "cores": 2}},
    )
    return msgspec.structs.replace(board, rows=[row, *board.rows[1:]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    build(nasty(), out)
    return out


def pages(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 20
    return found


def test_every_page_is_there_and_every_link_leads_to_a_file(site: Path) -> None:
    for page in pages(site):
        for tag, attributes in Reader(page.read_text("utf-8")).elements:
            for key in ("href", "src"):
                where = attributes.get(key)
                if where and not where.startswith(("http", "#", "data:")):
                    assert (page.parent / where.partition("#")[0]).is_file(), (page, tag, where)


def test_nothing_of_a_stranger_becomes_markup_and_no_script_or_style_is_inline(site: Path) -> None:
    for page in pages(site):
        for tag, attributes in Reader(page.read_text("utf-8")).elements:
            assert not any(name.startswith("on") or name == "style" for name in attributes), (page, tag, attributes)
            if tag == "script":
                assert attributes.get("type") == "application/json" or "src" in attributes, (page, attributes)
            assert tag != "style"
            assert not (attributes.get("href") or "").startswith("javascript"), page
    first = nasty().rows[0]
    text = (site / "encoder" / f"{first.id}.html").read_text("utf-8")
    assert NASTY not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_policy_stands_in_every_page(site: Path) -> None:
    for page in pages(site):
        metas = [a for tag, a in Reader(page.read_text("utf-8")).elements if tag == "meta" and "http-equiv" in a]
        assert metas[0]["content"].startswith("default-src 'none'; script-src 'self'; style-src 'self'"), page


def test_the_data_block_is_the_board(site: Path) -> None:
    data = json.loads(Reader((site / "index.html").read_text("utf-8")).blocks["data"])
    board = nasty()
    assert [row["id"] for row in data["rows"]] == [row.id for row in columns.ranked(board)]
    assert data["rows"][0]["name"] == NASTY
    by_id = {row.id: row for row in board.rows}
    for name, (values, lows, highs) in data["scores"].items():
        for row, value, low, high in zip(data["rows"], values, lows, highs, strict=True):
            score = by_id[row["id"]].scores.get(name)
            assert (score is None) == (value is None)
            if score and score.low is not None and score.high is not None:
                assert np.allclose(
                    np.array([value, low, high]) / data["scale"], [score.value, score.low, score.high], atol=1e-5
                )


def test_reported_rows_stand_apart(site: Path) -> None:
    text = (site / "index.html").read_text("utf-8")
    ours, _, theirs = text.partition("Reported by others: not comparable")
    reported = [row for row in nasty().rows if not row.comparable]
    assert reported
    assert all(f"encoder/{row.id}.html" in theirs for row in reported)
    assert not any(f"encoder/{row.id}.html" in ours for row in reported)


def test_a_row_that_lacks_a_task_is_marked_and_last(site: Path) -> None:
    rows = columns.ranked(small())
    assert rows[-1].average is None
    assert rows[-1].partial is not None
    assert all(row.average for row in rows[:-1])
    assert text_of(site / "index.html").count("partial: 4 of 5 tasks, not ranked") == 1


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def test_downloads_are_there(site: Path) -> None:
    from leaderboard import board

    assert board.from_json((site / "download" / "leaderboard.json").read_bytes()) == nasty()
    assert text_of(site / "download" / "leaderboard.csv").count("\n") >= len(nasty().rows)
    assert "\\begin{table}" in text_of(site / "download" / "leaderboard.tex")


def test_a_site_is_replaced_whole_and_nothing_else_is_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(small(), out)
    (out / "encoder" / "left-over.html").write_text("old")
    build(small(), out)
    assert not (out / "encoder" / "left-over.html").exists()
    assert sorted(tmp_path.iterdir()) == [out]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not empty"):
        build(small(), mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_a_build_that_fails_leaves_the_old_site(tmp_path: Path) -> None:
    def broken() -> Any:
        yield from ()
        raise OSError("disk full")

    out = tmp_path / "out"
    build(small(), out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(OSError, match="disk full"):
        build(small(), out, broken())
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert sorted(tmp_path.iterdir()) == [out]


def test_the_same_board_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        build(small(), tmp_path / name)
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert all(
        path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes() for path in files
    )


@given(st.text())
def test_a_file_name_never_leaves_its_folder(name: str) -> None:
    made = words.file_name(name)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,80}", made)
    assert not made.startswith(".")


def test_names_that_differ_have_files_that_differ() -> None:
    assert len({words.file_name(name) for name in ("a/b", "a b", "..", "../x", "", "a")}) == 6
    assert words.file_name("tgit/crop") == "tgit__crop"


def test_numbers_in_words() -> None:
    assert [words.hundred(x) for x in (0.1234, -0.0001, -0.05, 1, None)] == ["12.3", "0.0", "−5.0", "100.0", "–"]
    assert [words.short(x) for x in (86_000_000, 999, 1_500, 2e9, None)] == ["86M", "999", "1.5k", "2B", "–"]
    assert words.speed({"inputs": 3, "inputs_per_second": 2.5}) == 2.5
    assert words.speed({}) is None
    assert words.machine({"machine": {"cpu": "EPYC", "cores": 2, "platform": None}}) == "EPYC, 2 cores"
    assert [http(x) for x in ("https://a.b/c", "javascript:x", "//a.b", "http://", "data:x", "http://[")] == [
        *("https://a.b/c", "", "", "", "", "")
    ]


def test_a_mark_lies_where_its_interval_is() -> None:
    drawn = marks.interval(Interval(0.5, 0.25, 0.75), chance=0.125, width=64)
    assert 'd="M16.0 4H48.0"' in drawn
    assert 'cx="32.0"' in drawn
    assert 'd="M8.0 1V7"' in drawn
    assert marks.interval(Interval(-0.5, -0.6, 2.0), width=64).count('"M0.0 4H64.0"') == 1
    assert marks.interval(None) == ""


def one(name: str, first: str, second: str, tie: bool = False) -> Prediction:
    scores = (0.5, 0.5 if tie else 0.1)
    return Prediction(name, "", "", {}, 2, (), tuple(zip((first, second), scores, strict=True)))


def test_questions_are_judged_by_our_answers_the_most_split_first() -> None:
    texts = {key: Candidate(key, (Input(key),)) for key in ("yes", "no")}
    names = ("all right", "split", "tied", "all wrong")
    asked = tuple(Query(name, Input(f"is it {name}?"), {"yes": 1.0}) for name in names)
    answers = {name: Answer(name, ("no", "yes"), {"yes": 1.0}) for name in names}
    right, wrong = ("yes", "no"), ("no", "yes")
    by_encoder = {
        "a": [one("all right", *right), one("split", *right), one("tied", *right), one("all wrong", *wrong)],
        "b": [one("all right", *right), one("split", *wrong), one("tied", *wrong, tie=True), one("all wrong", *wrong)],
    }
    made = questions("t", TaskData(asked, texts), answers, by_encoder)
    assert [question.key for question in made.questions] == ["split", "tied"]
    split, tied = made.questions
    assert [pick.right for pick in split.picks] == [1.0, 0.0]
    assert [p.chosen.text for p in split.picks] == ["yes", "no"]
    assert [pick.right for pick in tied.picks] == [1.0, 0.5]
    assert tied.right == 1.5
    assert tied.of == 2
    assert [part.text for part in split.answers] == ["yes"]


@given(st.integers(2, 6), st.integers(1, 20), st.integers(0, 99))
def test_disagreement_is_the_spread_of_values(encoders: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 2, (encoders, count)).astype(float)
    found = disagreed(values, most=5)
    spread = values.var(axis=0)
    assert len(found) == min(5, int((spread > 0).sum()))
    assert all(spread[a] >= spread[b] for a, b in pairwise(found))
    assert all(math.isclose(spread[at], s) for at, s in zip(found, sorted(spread, reverse=True), strict=False))


@pytest.mark.slow
def test_from_bundles_to_pages(tmp_path: Path) -> None:
    """The whole way with real runs: added to a store, built, with pictures where the encoders disagree."""
    made = [make_bundle(tmp_path / "in", name, 0.45, seed) for seed, name in enumerate(("One", NASTY))]
    run = CliRunner().invoke(main, ["add", *map(str, made), "--store", str(tmp_path / "store")], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    arguments = ["build", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "site")]
    run = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert run.exit_code == 0, run.output
    assert "2 rows" in run.output
    page = text_of(tmp_path / "site" / "task" / "tgit__crop.html")
    pictures = [a["src"] for tag, a in Reader(page).elements if tag == "img"]
    assert pictures
    assert all((tmp_path / "site" / "task" / str(name)).is_file() for name in pictures)
    assert NASTY not in page
    assert "1 of 2" in page


def test_an_encoder_is_shown_with_those_it_cannot_be_told_apart_from(site: Path) -> None:
    board = nasty()
    for row in columns.ranked(board):
        text = text_of(site / "encoder" / f"{row.id}.html")
        level = [o for o in columns.ranked(board) if (p := board.pairs.of(row.id, o.id)) is not None and p[2] > 0.05]
        assert ("Cannot be told apart from" in text) == bool(level)
        assert all(f"ids={row.id},{other.id}" in text.replace("%2C", ",") for other in level)
