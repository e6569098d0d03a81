"""Exports of the board: rows and columns of choice as CSV, LaTeX, Markdown or JSON. A stranger's text is escaped."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.report import UNFUSED, clean, csv_cell, md, md_row, percent, tex
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from leaderboard.board import Board, Coverage, Interval, Rank, Row, Score

PLAIN = {
    "name": "encoder",
    "id": "id",
    "organisation": "organisation",
    "link": "link",
    "revision": "revision",
    "licence": "licence",
    "parameters": "parameters",
    "dimension": "dimension",
    "embedding_bytes": "bytes",
    "fusion_policy": "fusion",
    "training_data": "training data",
    "badge": "badge",
    "created": "created",
    "comparable": "comparable",
    "source": "source",
    "coverage": "tasks",
    "rank": "rank",
    "average": "average",
    "partial": "partial average",
}
"""{column: its heading}: fields of a row. Besides: "task:NAME" (its score) and "family:NAME" (its average)."""

DEFAULT = ("rank", "name", "organisation", "parameters", "dimension", "badge", "comparable", "coverage", "average")

Cell = str | int | bool | Interval | Score | Rank | Coverage | None


@dataclass(frozen=True)
class _Table:
    """What is exported: `heads` to `columns`, and `rows` of cells; `notes` stand below."""

    columns: Sequence[str]
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str]
    title: str


def export(
    document: Board, format_: str, *, rows: Sequence[str] | None = None, columns: Sequence[str] | None = None
) -> str:
    """The rows (ids, in the order given; default: all) by `columns` (default: DEFAULT), text that ends in a newline.

    CSV and JSON hold unrounded shares, LaTeX and Markdown percentages. Raises UsageError for a format, row or column
    that is not there.
    """
    if format_ not in FORMATS:
        raise _unknown("format", format_, list(FORMATS))
    by_id = {row.id: row for row in document.rows}
    chosen = list(by_id) if rows is None else list(rows)
    wanted = list(DEFAULT if columns is None else columns)
    known = [*PLAIN, *(f"family:{f.name}" for f in document.families), *(f"task:{t.name}" for t in document.tasks)]
    for what, asked, there in (("row", chosen, list(by_id)), ("column", wanted, known)):
        missing = next((name for name in asked if name not in there), None)
        if missing is not None:
            raise _unknown(what, missing, there)
    found = [[_cell(by_id[id_], column) for column in wanted] for id_ in chosen]
    heads = [_head(document, column) for column in wanted]
    table = _Table(wanted, heads, found, _notes(document, [by_id[id_] for id_ in chosen], wanted), document.suite)
    return FORMATS[format_](table)


def _unknown(what: str, name: str, known: Sequence[str]) -> UsageError:
    shown = ", ".join(known[:30]) + (", ..." if len(known) > 30 else "")
    return UsageError(f"the board has no {what} {clean(name)[:80]!r}{did_you_mean(name, known)} (it has {shown})")


def _cell(row: Row, column: str) -> Cell:
    kind, _, name = column.partition(":")
    if kind == "task" and name:
        return row.scores.get(name)
    if kind == "family" and name:
        return row.families.get(name)
    found: Cell = getattr(row, column)
    return found


def _head(document: Board, column: str) -> str:
    kind, _, name = column.partition(":")
    if kind == "task" and name:
        unfused = any(task.name == name and task.needs_fusion is False for task in document.tasks)
        return clean(name) + UNFUSED * unfused
    return clean(name) if kind == "family" and name else PLAIN[column]


def _notes(document: Board, rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """What a reader of a printed table must know."""
    notes = ["tasks in percent, 95% interval; averages chance-normalised (0 = chance, 100 = perfect)"]
    if "rank" in columns:
        notes.append(f"rank {document.method['rank']}")
    unfused = [t for t in document.tasks if t.needs_fusion is False and f"task:{t.name}" in columns]
    if unfused:
        notes.append(f"{UNFUSED} needs no fusion: " + "; ".join(clean(f"{t.name}: {t.audit}") for t in unfused))
    if any(row.comparable and row.average is None for row in rows):
        notes.append("rows that lack tasks have no average and no rank")
    if any(not row.comparable for row in rows):
        sources = sorted({clean(row.source) for row in rows if not row.comparable})
        notes.append(f"reported: {document.method['reported']} ({'; '.join(sources)})")
    return notes


def _shown(cell: Cell) -> str:
    """A cell as people read it."""
    match cell:
        case None:
            return "n/a"
        case bool():
            return "yes" if cell else "no"
        case Rank():
            return str(cell.best) if cell.best == cell.worst else f"{cell.best}–{cell.worst}"
        case Coverage():
            return f"{cell.tasks}/{cell.of}"
        case Interval() | Score():
            known = cell.low is not None and cell.high is not None
            return percent(cell.value) + (f" [{percent(cell.low)}, {percent(cell.high)}]" if known else "")
    return clean(str(cell))


def _csv(table: _Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = [_parts(column) for column in table.columns]
    names = [column + part for column, each in zip(table.columns, parts, strict=True) for part in each]
    writer.writerow([csv_cell(name) for name in names])
    for row in table.rows:
        values: list[Any] = []
        for cell, each in zip(row, parts, strict=True):
            values += _spread(cell, len(each))
        writer.writerow([csv_cell(value) for value in values])
    return text.getvalue()


def _parts(column: str) -> tuple[str, ...]:
    """What the CSV columns of a column are called after it."""
    if column in ("average", "partial") or column.startswith(("task:", "family:")):
        return ("", " low", " high")
    return {"rank": (" best", " worst"), "coverage": ("", " of")}.get(column, ("",))


def _spread(cell: Cell, width: int) -> list[Any]:
    if isinstance(cell, msgspec.Struct):
        return list(msgspec.structs.astuple(cell))[:width]
    return [str(cell).lower() if isinstance(cell, bool) else cell, *[None] * (width - 1)]


def _markdown(table: _Table) -> str:
    lines = [md_row([md(head) for head in table.heads]), "|" + "--|" * len(table.heads)]
    lines += [md_row([md(_shown(cell)) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", *(f"- {md(note)}" for note in table.notes)]) + "\n"


def _latex(table: _Table) -> str:
    lines = ["\\begin{table}", f"\\caption{{Leaderboard of the suite {tex(clean(table.title))}.}}", "\\centering"]
    lines += ["\\begin{tabular}{" + "l" * len(table.heads) + "}", "\\hline"]
    lines += [" & ".join(map(tex, table.heads)) + r" \\", "\\hline"]
    lines += [" & ".join(tex(_shown(cell)) for cell in row) + r" \\" for row in table.rows]
    notes = [f"\\par {tex(note)}" for note in table.notes]
    return "\n".join([*lines, "\\hline", "\\end{tabular}", *notes, "\\end{table}"]) + "\n"


def _json(table: _Table) -> str:
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    document = {"suite": table.title, "columns": list(table.columns), "rows": rows, "notes": list(table.notes)}
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


FORMATS: dict[str, Callable[[_Table], str]] = {"csv": _csv, "latex": _latex, "md": _markdown, "json": _json}
