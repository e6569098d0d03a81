"""Metrics of a group of queries over the joint matrix of its scores (Winoground, SugarCrepe++).

A group's cells are (query, candidate) scores. Ties count as one uniformly random total order over all cells, so that an
encoder that cannot tell and one that guesses get the same: 1/4, 1/4 and 1/6 for Winoground's text, image and group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import permutations, product

from benchmarks.score import TIE
from benchmarks.types import Prediction
from fuselip.core.errors import UserError

Cell = tuple[str, ...]
Line = tuple[int, ...]
"""A right cell, then the cells it must beat, as indices."""

Wins = Callable[[Sequence[Prediction]], list[tuple[Cell, list[Cell]]]]
MOST_CELLS = 6
"""Orders are enumerated: 720 of six cells."""


def rows_right(group: Sequence[Prediction]) -> list[tuple[Cell, list[Cell]]]:
    """Every query must rank its answer first (Winoground's text score; SugarCrepe++'s text-only test)."""
    return [
        (_cell(row, row.targets[0].key), [_cell(row, key) for key, _ in row.top if key != row.targets[0].key])
        for row in group
    ]


def columns_right(group: Sequence[Prediction]) -> list[tuple[Cell, list[Cell]]]:
    """Every candidate must be liked best by the query whose answer it is (Winoground's image score)."""
    return [
        (_cell(row, row.targets[0].key), [_cell(other, row.targets[0].key) for other in group if other is not row])
        for row in group
    ]


def all_right(group: Sequence[Prediction]) -> list[tuple[Cell, list[Cell]]]:
    return rows_right(group) + columns_right(group)


def probability(wins: Wins, group: Sequence[Prediction], *, strict: bool = False) -> float:
    """P(all of it holds) over the orders that the scores allow; `strict`: a tie counts as a miss.

    Raises UserError for a group that is no such matrix (an answer missing, candidates that cannot be told apart).
    """
    cells = _scores(group)
    names = sorted(cells)
    lines = _lines(wins(group), names)
    scores = [cells[name] for name in names]
    if strict:
        return float(all(scores[line[0]] > scores[other] + TIE for line in lines for other in line[1:]))
    return _over_orders(tuple(_levels(scores)), tuple(lines))


def chance(wins: Wins, group: Sequence[Prediction]) -> float:
    """The probability where every score is the same."""
    names = sorted(_scores(group))
    return _over_orders((0,) * len(names), tuple(_lines(wins(group), names)))


def _cell(row: Prediction, candidate: str) -> Cell:
    """The name of a score. A query tagged `self` is a candidate of the group too, and the score of a pair is one."""
    own = row.tags.get("self")
    return (row.query, candidate) if own is None else tuple(sorted((str(own), candidate)))


def _scores(group: Sequence[Prediction]) -> dict[Cell, float]:
    """Score by cell; the mean where a pair was scored both ways."""
    found: dict[Cell, list[float]] = {}
    for row in group:
        if len(row.targets) != 1 or row.truncated:
            raise UserError(f"query {row.query!r} of group {row.group!r} must have one answer and a small pool")
        for key, value in row.top:
            found.setdefault(_cell(row, key), []).append(value)
    if len(found) > MOST_CELLS:
        raise UserError(f"group {group[0].group!r} has {len(found)} scores; at most {MOST_CELLS} can be scored jointly")
    return {cell: sum(values) / len(values) for cell, values in found.items()}


def _lines(wins: list[tuple[Cell, list[Cell]]], names: list[Cell]) -> list[Line]:
    index = {name: number for number, name in enumerate(names)}
    missing = next((cell for right, others in wins for cell in (right, *others) if cell not in index), None)
    if missing is not None:
        raise UserError(f"the score {missing} of a group is missing: two of its candidates are the same")
    return [(index[right], *(index[other] for other in others)) for right, others in wins]


def _levels(scores: Sequence[float]) -> list[int]:
    """Per score the number of its tie group, 0 the best; a group is drawn around its best score."""
    levels = [0] * len(scores)
    anchor, level = float("inf"), -1
    for place in sorted(range(len(scores)), key=lambda place: -scores[place]):
        if scores[place] < anchor - TIE:
            anchor, level = scores[place], level + 1
        levels[place] = level
    return levels


@lru_cache(maxsize=1 << 12)
def _over_orders(levels: tuple[int, ...], lines: tuple[Line, ...]) -> float:
    groups = [[place for place, own in enumerate(levels) if own == level] for level in sorted(set(levels))]
    total = right = 0
    for parts in product(*(permutations(group) for group in groups)):
        rank = {place: number for number, place in enumerate(place for part in parts for place in part)}
        total += 1
        right += all(rank[line[0]] < rank[other] for line in lines for other in line[1:])
    return right / total
