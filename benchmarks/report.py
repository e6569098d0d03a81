"""Reports: one summary as a terminal table, CSV, Markdown or LaTeX. Names come from strangers: all text is escaped."""

from __future__ import annotations

import csv
import io
import re
import shutil
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.blind import BLIND
from benchmarks.results import CONTROLS, result_from_json
from benchmarks.types import Result
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean

NARROW = 130
"""Below so many columns, two numbers share a column: the second stands under the first."""

HEADS = ("constant", "random", "oracle", "image only", "text only")
WIDE = ("score [95%]", "chance", "blind", "norm.", "gap [95%]")
UNFUSED = "§"
"""Marks the score of a task that needs no fusion: a baseline that sees half or nothing gets far (`shortcuts.audit`)."""

FEW = {
    "cluster bootstrap (few clusters)": ("*", "fewer than 10 source images: the interval is rough"),
    "wilson (one cluster)": ("†", "a single source image: the interval allows for all that others could change"),
    "wilson (clusters agree)": ("‡", "all source images score alike: the interval counts images, not queries"),
}
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


def render(summary: Mapping[str, Any], format_: str = "table", width: int | None = None) -> str:
    """The summary as text that ends with a newline; `width` (columns) is for tables, default: the terminal's.

    Raises UsageError for an unknown format, UserError for something that is not a summary.
    """
    if format_ not in FORMATS:
        raise UsageError(
            f"there is no format {format_!r}{did_you_mean(format_, FORMATS)} (known: {', '.join(FORMATS)})"
        )
    if not isinstance(summary, Mapping) or not isinstance(summary.get("tasks"), list):
        raise UserError("this is not a run's summary: it has no list of tasks")
    results = [result_from_json(task, f"task {number} of the summary") for number, task in enumerate(summary["tasks"])]
    return FORMATS[format_](summary, results, width or shutil.get_terminal_size((120, 24)).columns)


def model_label(summary: Mapping[str, Any]) -> str:
    """The model's name as shown everywhere: untrained weights are never left unsaid."""
    model, weights = (_mapping(summary.get(key)) for key in ("model", "weights"))
    label = clean(str(model.get("label") or model.get("name") or "unnamed model"))
    mark = "[random init]"
    return f"{label} {mark}" if weights.get("source") == "random" and mark not in label else label


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def clean(text: str) -> str:
    """One line without terminal escapes, control, bidirectional or unpaired characters."""
    text = _ANSI.sub("", text)
    kept = (" " if char.isspace() else char for char in text if char.isspace() or unicodedata.category(char)[0] != "C")
    return " ".join("".join(kept).split())


def percent(share: float | None) -> str:
    return "n/a" if share is None else f"{round(100 * share, 1) + 0.0:.1f}"  # + 0.0: never "-0.0"


def cells(result: Result, *, narrow: bool = False) -> list[str]:
    """The row of a table for people: percentages with one decimal.

    `narrow`: the interval stands under the score, the best blind baseline under chance, the gap under the norm.
    """
    mark = FEW.get(result.interval, ("", ""))[0] + UNFUSED * (result.audit.get("needs_fusion") is False)
    value, low, high = percent(result.value), percent(result.low), percent(result.high)
    score = f"{value}{mark}\n{low}–{high}" if narrow else f"{value} [{low}, {high}]{mark}"
    chance, norm = percent(result.chance), percent(result.normalised)
    blind = percent(max(result.audit.get("blind", {}).values(), default=None))
    gap = _gap(result, narrow=narrow)
    shown = [f"{chance}\n{blind}", f"{norm}\n{gap}"] if narrow else [chance, blind, norm, gap]
    return [
        *(clean(result.name), str(result.n), score, *shown),
        *(percent(result.controls.get(control)) for control in CONTROLS),
    ]


def _gap(result: Result, *, narrow: bool = False) -> str:
    """What the whole query gets beyond its better half, in points."""
    if not result.composition:
        return "n/a"
    gap, low, high = (_signed(result.composition[part]) for part in ("gap", "low", "high"))
    return gap if narrow else f"{gap} [{low}, {high}]"


def _signed(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def footnotes(results: Sequence[Result]) -> list[str]:
    """What the reader must know: metrics, marks, and what each task warns of."""
    metrics = ", ".join(sorted({clean(result.metric) for result in results}))
    notes = [f"{metrics} in percent of n questions, 95% interval; norm.: 0 = chance, 100 = perfect"] if results else []
    if any(result.audit.get("blind") for result in results):
        notes.append("blind: the best baseline that sees neither pixels nor a model (shortest text, words, box size)")
    if any(result.composition for result in results):
        notes.append("gap: score minus that of the better half of the query, in points (fusion is worth so much)")
    unfused = [result for result in results if result.audit.get("needs_fusion") is False]
    if unfused:
        reasons = ", ".join(f"{clean(result.name)} ({clean(str(result.audit.get('reason')))})" for result in unfused)
        notes.append(f"{UNFUSED} needs no fusion: {reasons}")
    used = {result.interval for result in results}
    notes += [f"{mark} {meaning}" for method, (mark, meaning) in FEW.items() if method in used]
    notes += [f"{clean(result.name)}: {clean(str(warning))}" for result in results for warning in result.warnings]
    notes += [f"{clean(result.name)}: {len(result.skipped)} items skipped" for result in results if result.skipped]
    return notes


def _table(summary: Mapping[str, Any], results: Sequence[Result], width: int) -> str:
    narrow = width < NARROW
    title = f"{model_label(summary)} on {clean(str(summary.get('suite', '')))}"
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 0 if narrow else 1, 0, 0), pad_edge=False)
    table.add_column("task", overflow="fold")
    shown = ["score\n95%", "chance\nblind", "norm.\ngap"] if narrow else WIDE
    for head in ["n", *shown, *(head.replace(" ", "\n") for head in HEADS)]:
        table.add_column(head.replace("constant", "const.") if narrow else head, justify="right", no_wrap=True)
    for result in results:
        table.add_row(*(Text(cell) for cell in cells(result, narrow=narrow)))
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, legacy_windows=False)
    console.print(table)
    for note in filter(None, [*footnotes(results), _costs(summary)]):
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _costs(summary: Mapping[str, Any]) -> str:
    kinds = {"seconds": "{:.1f} s", "peak_memory_mb": "peak memory {:.0f} MiB"}
    given = {key: summary.get(key) for key in kinds}
    return ", ".join(kinds[key].format(value) for key, value in given.items() if isinstance(value, int | float))


def _csv(summary: Mapping[str, Any], results: Sequence[Result], _: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    plain = ("name", "version", "data_hash", "metric", "value", "low", "high", "interval", "chance")
    writer.writerow(["model", "suite", *plain, "normalised", "n", "clusters", *CONTROLS, "seconds", *_AUDITED])
    for result in results:
        row = [model_label(summary), str(summary.get("suite", "")), *(getattr(result, key) for key in plain)]
        row += [result.normalised, result.n, result.clusters, *(result.controls.get(key) for key in CONTROLS)]
        row += [result.seconds, *(result.audit.get("blind", {}).get(name) for name in BLIND)]
        row += [_csv_bool(result.audit.get("needs_fusion")), str(result.audit.get("reason", ""))]
        row += [result.composition.get(part) for part in ("gap", "low", "high")]
        writer.writerow([csv_cell(value) for value in row])
    return text.getvalue()


_AUDITED = (*BLIND, "needs_fusion", "reason", "gap", "gap_low", "gap_high")


def _csv_bool(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def csv_cell(value: Any) -> Any:
    """Numbers as they are; a text that a spreadsheet would run as a formula gets a leading apostrophe."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _markdown(summary: Mapping[str, Any], results: Sequence[Result], _: int) -> str:
    heads = ["task", "n", *WIDE, *HEADS]
    lines = [f"**{md(model_label(summary))}** on {md(clean(str(summary.get('suite', ''))))}", ""]
    lines += [md_row(heads), "|:--" + "|--:" * (len(heads) - 1) + "|"]
    lines += [md_row([md(cell) for cell in cells(result)]) for result in results]
    notes = [md(note) for note in [*footnotes(results), _costs(summary)] if note]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def md_row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def md(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~$])", r"\\\1", text)


def _latex(summary: Mapping[str, Any], results: Sequence[Result], _: int) -> str:
    heads = ["task", "n", *(head.replace("%", r"\%") for head in WIDE), *HEADS]
    title = f"{tex(model_label(summary))} on {tex(clean(str(summary.get('suite', ''))))}"
    lines = [
        "\\begin{table}",
        f"\\caption{{{title}.}}",
        "\\centering",
        "\\begin{tabular}{l" + "r" * (len(heads) - 1) + "}",
    ]
    lines += ["\\hline", " & ".join(heads) + r" \\", "\\hline"]
    lines += [" & ".join(tex(cell) for cell in cells(result)) + r" \\" for result in results]
    notes = [tex(note) for note in [*footnotes(results), _costs(summary)] if note]
    return "\n".join([*lines, "\\hline", "\\end{tabular}", *(f"\\par {note}" for note in notes), "\\end{table}"]) + "\n"


_TEX = {
    **{char: "\\" + char for char in "{}$&#%_"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # after \\ a bare bracket would be read as an option
    "]": "{]}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
}


def tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text)


Renderer = Callable[[Mapping[str, Any], Sequence[Result], int], str]
FORMATS: dict[str, Renderer] = {"table": _table, "csv": _csv, "md": _markdown, "latex": _latex}
