"""Plots as inline SVG: scores with their intervals, and skill curves. Every number is also in a title to hover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fuselip.core.html import Html, tag

COLOURS = ("#3b6ea5", "#c4602d", "#4c8c4a", "#8b5fa8", "#a0882c", "#4d4d4d")
LEFT, WIDTH, ROW = 190, 420, 18


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def intervals(rows: Sequence[tuple[str, float | None, Sequence[tuple[float, float, float] | None]]]) -> Html:
    """A line a task: (name, chance, (value, low, high) of each run), shares in [0, 1]; chance is the small stroke."""
    height = ROW * sum(max(1, len(found)) for _, _, found in rows) + 30
    parts, y = [_grid(height)], 12
    for name, chance, found in rows:
        parts.append(tag("text", name, x=LEFT - 8, y=y + 4, text_anchor="end", class_="label"))
        for number, each in enumerate(found):
            if chance is not None:
                parts.append(_line(_x(chance), y - 5, _x(chance), y + 5, "chance"))
            if each is not None:
                value, low, high = each
                told = f"{name}: {100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
                mark = tag("circle", tag("title", told), cx=f"{_x(value):.1f}", cy=y, r=4, fill=colour(number))
                stroke = f"stroke:{colour(number)};stroke-width:2"
                parts += [_line(_x(low), y, _x(high), y, "interval", stroke), mark]
            y += ROW
    return _svg(LEFT + WIDTH + 20, height, *parts)


def curve(title: str, curves: Sequence[Sequence[Mapping[str, Any]]]) -> Html:
    """Accuracy by a tag's value, a line a run; points are {value, accuracy, low, high, chance, n} as in result.json."""
    names = list(dict.fromkeys(_name(point["value"]) for points in curves for point in points))
    step = min(60.0, 420 / max(1, len(names)))
    width, height = int(60 + step * len(names)), 170

    def x(name: str) -> float:
        return 45 + step * (names.index(name) + 0.5)

    def y(share: float) -> float:
        return 130 - 110 * min(1.0, max(0.0, share))

    parts = [tag("text", title, x=10, y=12, class_="label")]
    for share in (0.0, 0.5, 1.0):
        parts += [_line(40, y(share), width, y(share), "grid"), _text(f"{100 * share:.0f}", 34, y(share) + 4, "end")]
    for name in names if len(names) <= 20 else names[:: len(names) // 10]:
        parts.append(_text(name[:9], x(name), 146, "middle"))
    for number, points in enumerate(curves):
        path = " ".join(f"{x(_name(p['value'])):.1f},{y(p['accuracy']):.1f}" for p in points)
        parts.append(tag("polyline", points=path, fill="none", stroke=colour(number), stroke_width=1.5))
        for p in points:
            at = x(_name(p["value"]))
            parts.append(_line(at, y(p["low"]), at, y(p["high"]), "interval", f"stroke:{colour(number)}"))
            told = f"{_name(p['value'])}: {100 * p['accuracy']:.1f}, n = {p['n']}, chance {100 * p['chance']:.1f}"
            dot = tag("circle", tag("title", told), cx=f"{at:.1f}", cy=f"{y(p['accuracy']):.1f}", r=3)
            parts.append(tag("g", dot, fill=colour(number)))
    return _svg(width + 10, height, *parts)


def _name(value: Any) -> str:
    return "–".join(f"{part:g}" for part in value) if isinstance(value, list) else str(value)


def _x(share: float) -> float:
    return LEFT + WIDTH * min(1.0, max(0.0, share))


def _grid(height: int) -> Html:
    parts: list[Html] = []
    for percent in range(0, 101, 25):
        at = _x(percent / 100)
        parts += [_line(at, 4, at, height - 20, "grid"), _text(str(percent), at, height - 6, "middle")]
    return tag("g", *parts)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str, style: str = "") -> Html:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind, style=style)


def _text(text: str, x: float, y: float, anchor: str) -> Html:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_="tick")


def _svg(width: int, height: int, *parts: Html) -> Html:
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img")
