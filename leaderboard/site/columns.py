"""What the pages' scripts read: the board's rows and scores in columns, small enough for 500 rows x 60 tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from leaderboard.board import Board, Family, Interval, Row, Score, Task
from leaderboard.site.words import file_name, machine, speed

SCALE = 100_000
"""Shares are written as whole numbers of 1/SCALE, half as long as with a dot; a page shows one decimal of a percent."""


def ranked(board: Board) -> list[Row]:
    """Rows that can be compared, best average first, then those that lack tasks: the order of all pages."""

    def place(row: Row) -> tuple[bool, float]:
        average = row.average or row.partial
        return row.average is None, -average.value if average else 1.0

    return sorted((row for row in board.rows if row.comparable), key=place)


def reported(board: Board) -> list[Row]:
    return [row for row in board.rows if not row.comparable]


def shown_families(board: Board) -> list[Family]:
    """Families with a task that some comparable row has."""
    has = {task for row in ranked(board) for task in row.scores}
    kept = [Family(f.name, f.title, [task for task in f.tasks if task in has]) for f in board.families]
    return [family for family in kept if family.tasks]


def shown_tasks(board: Board) -> list[Task]:
    """The tasks of those families, in their order."""
    by_name = {task.name: task for task in board.tasks}
    return [by_name[name] for family in shown_families(board) for name in family.tasks]


def table(board: Board, *, scores: bool = True) -> dict[str, Any]:
    """Rows in the board's order; `scores` as [value, low, high] columns by task."""
    rows, tasks = ranked(board), shown_tasks(board)
    found: dict[str, Any] = {
        "scale": SCALE,
        "suite": board.suite,
        "families": [{"name": f.name, "title": f.title, "tasks": f.tasks} for f in shown_families(board)],
        "tasks": [
            {
                "name": task.name,
                "page": file_name(task.name),
                "chance": task.chance,
                "n": task.n,
                "fusion": task.needs_fusion,
                "audit": task.audit,
            }
            for task in tasks
        ],
        "rows": [_row(row) for row in rows],
    }
    if scores:
        found["scores"] = {task.name: _column([row.scores.get(task.name) for row in rows]) for task in tasks}
    return found


def pairs(board: Board) -> dict[str, Any]:
    found = board.pairs
    return {
        "ids": found.ids,
        "difference": _whole(found.difference),
        "margin": _whole(found.margin),
        "p": _whole(found.p),
    }


def skills(board: Board) -> dict[str, dict[str, dict[str, list[list[Any]]]]]:
    """{task: {skill: {row id: [[value, accuracy, low, high, chance], ...]}}}, curves only."""
    found: dict[str, dict[str, dict[str, list[list[Any]]]]] = {}
    for row in ranked(board):
        for task, curves in row.skills.items():
            for name, points in curves.items():
                if isinstance(points, list):
                    drawn = [[_value(p["value"]), *_whole(p[k] for k in ("accuracy", "low", "high"))] for p in points]
                    found.setdefault(task, {}).setdefault(name, {})[row.id] = drawn
    return found


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _value(value: Any) -> Any:
    """A bin of numbers by its ends; texts and numbers as they are."""
    return f"{value[0]:g} to {value[1]:g}" if isinstance(value, list | tuple) and len(value) == 2 else value


def _row(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "page": file_name(row.id),
        "name": row.name,
        "organisation": row.organisation,
        "badge": row.badge,
        "licence": row.licence,
        "fusion": row.fusion_policy,
        "data": row.training_data,
        "parameters": row.parameters,
        "dimension": row.dimension,
        "bytes": row.embedding_bytes,
        "speed": speed(row.throughput),
        "machine": machine(row.throughput),
        "created": row.created[:10],
        "flags": len(row.flags),
        "coverage": row.coverage.tasks,
        "complete": row.average is not None,
        "average": _three(row.average or row.partial),
        "rank": [row.rank.best, row.rank.worst] if row.rank else None,
        "families": {name: _three(found) for name, found in row.families.items()},
    }


def _three(found: Interval | Score | None) -> list[int | None] | None:
    return None if found is None else _whole([found.value, found.low, found.high])


def _column(found: Sequence[Score | None]) -> list[list[int | None]]:
    """Values, lows and highs of all rows."""
    return [
        _whole(score.value if score else None for score in found),
        _whole(score.low if score else None for score in found),
        _whole(score.high if score else None for score in found),
    ]


def _whole(shares: Any) -> list[int | None]:
    return [None if share is None else round(share * SCALE) for share in shares]
