"""A comparison of runs as a terminal table, CSV, Markdown or JSON. Names come from strangers: all text is escaped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.compare import Comparison, Disagreement, Row, to_json
from benchmarks.report import clean, csv_cell, md, md_row, percent

ALPHA = 0.05
HEADS = ("task", "pair", "n", "scores", "diff. [95%]", "p", "Holm", "detect.", "needed")
_FIELDS = (
    *("task", "first", "second", "n", "clusters", "score_first", "score_second"),
    *("difference", "low", "high", "p", "test", "holm", "detectable", "needed"),
)


def render(found: Comparison, format_: str, width: int) -> str:
    """The comparison as text that ends with a newline; `width` (columns) is for tables."""
    return FORMATS[format_](found, width)


def _cells(row: Row, narrow: bool = False) -> list[str]:
    """The row for people: percentages and points with one decimal; `*`: the difference stands after Holm."""
    points, low, high = (f"{round(100 * value, 1) + 0.0:+.1f}" for value in (row.difference, row.low, row.high))
    mark = "*" if row.holm is not None and row.holm <= ALPHA else ""
    first, second = map(percent, row.scores)
    return [
        clean(row.task),
        f"{row.second}-{row.first}",
        str(row.n),
        f"{first}\n{second}" if narrow else f"{first}, {second}",
        f"{points}{mark}\n{low}, {high}" if narrow else f"{points} [{low}, {high}]{mark}",
        _p(row.p),
        "" if row.holm is None else _p(row.holm),
        "n/a" if row.detectable is None else f"{100 * row.detectable:.1f}",
        "n/a" if row.needed is None else str(row.needed),
    ]


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}"


def _notes(found: Comparison) -> list[str]:
    notes = [f"{run.letter}: {clean(run.label)} ({clean(str(run.path))})" for run in found.runs]
    notes.append("scores in percent, first run first; diff.: B-A is what B has more, in points, 95% paired interval")
    notes.append(f"* differs after Holm's adjustment for all {len(found.rows)} comparisons (5%)")
    notes.append("detect.: smallest difference that n questions find (80% power); needed: questions to find this one")
    notes.append(f"tests: {', '.join(sorted({row.test for row in [*found.rows, *found.macro]}))}")
    return notes


def _told(row: Disagreement) -> str:
    first, second = map(percent, row.scores)
    text = f"{row.task} {row.unit}: {row.first} {first}, {row.second} {second}"
    if row.answers:
        text += (
            f"; {row.first} picks {row.picks[0]}, {row.second} picks {row.picks[1]}, right: {', '.join(row.answers)}"
        )
    return clean(text)


def _table(found: Comparison, width: int) -> str:
    narrow = width < 110
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0 if narrow else 1, 0, 0), pad_edge=False)
    table.add_column(HEADS[0], overflow="fold")
    for head in HEADS[1:]:
        table.add_column(head.replace(" ", "\n") if narrow else head, justify="right", no_wrap=True)
    for row in [*found.rows, *found.macro]:
        table.add_row(*(Text(cell) for cell in _cells(row, narrow)))
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    console.print(table)
    for note in [*_notes(found), *map(_told, found.queries)]:
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _csv(found: Comparison, _: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_FIELDS, "first_model", "second_model"])
    labels = {run.letter: run.label for run in found.runs}
    for row in [*found.rows, *found.macro]:
        told = {**vars(row), "score_first": row.scores[0], "score_second": row.scores[1]}
        cells = [*(told[name] for name in _FIELDS), labels[row.first], labels[row.second]]
        writer.writerow([csv_cell(cell) for cell in cells])
    return out.getvalue()


def _markdown(found: Comparison, _: int) -> str:
    lines = [md_row(HEADS), "|:--" + "|--:" * (len(HEADS) - 1) + "|"]
    lines += [md_row([md(cell) for cell in _cells(row)]) for row in [*found.rows, *found.macro]]
    return "\n".join([*lines, "", *(f"- {md(note)}" for note in [*_notes(found), *map(_told, found.queries)])]) + "\n"


def _json(found: Comparison, _: int) -> str:
    return json.dumps(to_json(found), indent=2, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Comparison, int], str]] = {
    "table": _table,
    "csv": _csv,
    "md": _markdown,
    "json": _json,
}
