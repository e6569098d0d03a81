"""Skill curves as text: accuracy by angle, strength, axis as bars beside chance, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import clean, percent

BAR = 25


def render_skills(summary: Mapping[str, Any]) -> str:
    """Every curve of every task of the summary; tags that only repeat another one are left to result.json."""
    lines: list[str] = []
    for task in summary["tasks"]:
        for tag, curve in task["skills"].items():
            lines += ["", f"{clean(task['name'])} by {clean(tag)}"]
            lines += _confusion(curve) if isinstance(curve, Mapping) else _curve(curve)
    return "\n".join(lines).lstrip("\n") + "\n" if lines else "no task of this run has a skill curve\n"


def _curve(points: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [_name(point["value"]) for point in points]
    width = max(map(len, names))
    return [
        f"  {name:>{width}}  n {point['n']:4}  {percent(point['accuracy']):>5} "
        f"[{percent(point['low'])}, {percent(point['high'])}]".ljust(width + 40)
        + f"|{_bar(point['accuracy'], point['chance'])}|"
        for name, point in zip(names, points, strict=True)
    ]


def _bar(share: float, chance: float) -> str:
    """Full to the share, with a mark where chance is."""
    cells = ["█" if (place + 0.5) / BAR <= share else " " for place in range(BAR)]
    cells[min(BAR - 1, int(chance * BAR))] = "┊"
    return "".join(cells)


def _confusion(table: Mapping[str, Any]) -> list[str]:
    """Rows: what was asked for. Columns: what was picked."""
    picked = [clean(str(name)) for name in table["picked"]]
    rows = [clean(str(name)) for name in table["values"]]
    width = max(map(len, rows))
    numbers = [f"({place + 1}) {name}" for place, name in enumerate(picked)]
    head = " " * (width + 2) + "".join(f"{f'({place + 1})':>6}" for place in range(len(picked)))
    body = [
        f"  {name:>{width}}" + "".join(f"{count:6.1f}" for count in counts)
        for name, counts in zip(rows, table["counts"], strict=True)
    ]
    return ["  picked: " + ", ".join(numbers), head, *body]


def _name(value: Any) -> str:
    return f"{value[0]:g} to {value[1]:g}" if isinstance(value, list) else clean(str(value))
