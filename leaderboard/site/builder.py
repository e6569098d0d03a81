"""The builder: a board in, a folder of static files out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from fuselip.core.errors import UsageError
from fuselip.core.html import json_block
from leaderboard.board import Board, Row, to_json
from leaderboard.rank import LEVEL
from leaderboard.site import columns
from leaderboard.site.pages import render
from leaderboard.site.questions import TaskQuestions
from leaderboard.site.words import file_name

MARK = ".fuselip-leaderboard"
"""A file that says that a folder was built by us, and may be built again."""

MOST_AROUND = 8
"""Rows named on an encoder's page that it cannot be told apart from."""

DOWNLOADS = (("csv", "csv"), ("latex", "tex"), ("md", "md"))


def build(
    board: Board,
    out: Path,
    questions: Iterable[TaskQuestions] = (),
    challenges: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the site to `out`, at once: what was there stays until everything new is written.

    `questions` are those where encoders disagree, by task, with their pictures (`leaderboard.site.questions`).
    `challenges` are what may be told of each: id, created, expires, state, used_by, outcome, and once it is over, its
    seed (`leaderboard.site.sources.challenge_log`).
    Raises UsageError where `out` holds something that is not such a site.
    """
    out = out.absolute()
    if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty and not a site of ours: name another folder with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        fresh.chmod(0o755)
        _write(board, fresh, questions, challenges)
        _swap(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, out: Path) -> None:
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    try:
        if out.exists():
            out.rename(old / "site")
        fresh.rename(out)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _write(
    board: Board, out: Path, questions: Iterable[TaskQuestions], challenges: Sequence[Mapping[str, Any]]
) -> None:
    for folder in ("static", "encoder", "task", "download", "pictures"):
        (out / folder).mkdir()
    for file in files("leaderboard").joinpath("static").iterdir():
        (out / "static" / file.name).write_bytes(file.read_bytes())
    asked = set()
    for task in questions:
        asked.add(task.name)
        for name, picture in task.pictures.items():
            (out / "pictures" / name).write_bytes(picture)
        _text(out / "task" / f"{file_name(task.name)}.html", _task_page(board, task.name, task))
    for name in (task.name for task in columns.shown_tasks(board)):
        if name not in asked:
            _text(out / "task" / f"{file_name(name)}.html", _task_page(board, name, None))
    for path, text in _pages(board, asked, challenges):
        _text(out / path, text)
    _downloads(board, out / "download")
    _text(out / MARK, "")


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def _pages(board: Board, asked: set[str], challenges: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    common = _common(board, "")
    table = columns.dump(columns.table(board))
    yield "index.html", render("index.html", **common, data=_block("data", table), choices=_choices(board))
    small = columns.dump({**columns.table(board, scores=False), "skills": columns.skills(board)})
    yield "plots.html", render("plots.html", **common, data=_block("data", small), choices=_choices(board))
    both = _block("data", table) + _block("pairs", columns.dump(columns.pairs(board)))
    yield "compare.html", render("compare.html", **common, data=both)
    yield "tasks.html", render("tasks.html", **common, asked=asked)
    yield "about.html", render("about.html", **common, challenges=challenges)
    inner = _common(board, "../")
    for row in board.rows:
        tried = [each for each in challenges if each["used_by"] == row.id and each.get("outcome")]
        page = render("encoder.html", **inner, row=row, around=_around(board, row), challenges=tried)
        yield f"encoder/{file_name(row.id)}.html", page


def _common(board: Board, root: str) -> dict[str, Any]:
    tasks = {task.name: task for task in board.tasks}
    return {
        "root": root,
        "board": board,
        "families": columns.shown_families(board),
        "tasks": tasks,
        "unfused": {task.family for task in board.tasks if task.needs_fusion is False},
        "rows": columns.ranked(board),
        "reported": columns.reported(board),
        "ranked_count": sum(row.rank is not None for row in board.rows),
        "downloads": [*DOWNLOADS, ("json", "json")],
    }


def _block(name: str, text: str) -> Any:
    from markupsafe import Markup

    return Markup(json_block(name, text))


def _choices(board: Board) -> dict[str, list[str]]:
    """What filters offer: values that some row has."""
    rows = columns.ranked(board)
    return {
        "badge": [badge for badge in ("consistent", "challenged", "re-run") if any(row.badge == badge for row in rows)],
        "fusion": sorted({row.fusion_policy for row in rows if row.fusion_policy}),
        "licence": sorted({row.licence for row in rows if row.licence}),
    }


def _around(board: Board, row: Row) -> list[tuple[Row, float, float, float]]:
    """The ranked rows nearest in average that are not significantly different: (row, difference, margin, p)."""
    own = row.average
    if row.rank is None or own is None:
        return []
    averages = [(other, other.average) for other in board.rows if other.rank and other.average and other is not row]
    nearest = sorted(averages, key=lambda each: abs(each[1].value - own.value))
    pairs = ((other, board.pairs.of(row.id, other.id)) for other, _ in nearest)
    return list(islice(((other, *pair) for other, pair in pairs if pair is not None and pair[2] > LEVEL), MOST_AROUND))


def _task_page(board: Board, name: str, asked: TaskQuestions | None) -> str:
    by_score = sorted(
        (row for row in columns.ranked(board) if name in row.scores), key=lambda row: -row.scores[name].value
    )
    names = {row.id: row.name for row in board.rows}
    return render("task.html", **_common(board, "../"), name=name, names=names, by_score=by_score, asked=asked)


def _downloads(board: Board, out: Path) -> None:
    """The whole board: all columns, in each format; JSON is the board's own document."""
    from leaderboard import exports

    # A reported row has no value in most task columns: they are empty, never filled in.
    wanted = [*exports.PLAIN, *(f"family:{f.name}" for f in board.families), *(f"task:{t.name}" for t in board.tasks)]
    for format_, ending in DOWNLOADS:
        chosen = wanted if format_ == "csv" else [*exports.DEFAULT, *(c for c in wanted if c.startswith("family:"))]
        _text(out / f"leaderboard.{ending}", exports.export(board, format_, columns=chosen))
    (out / "leaderboard.json").write_bytes(to_json(board))
