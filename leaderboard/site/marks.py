"""Marks drawn by the builder: an interval on an axis from 0 to 1, a band of ranks."""

from __future__ import annotations

from fuselip.core.html import Html, tag
from leaderboard.board import Interval, Rank, Score
from leaderboard.site.words import band, span

WIDTH, HEIGHT = 64, 8


def interval(found: Interval | Score | None, chance: float = 0.0, width: int = WIDTH) -> Html:
    """A line from low to high with a dot at the value, and a tick at chance. Nothing where there is no interval.

    The axis itself is a background of the style sheet: thousands of these are on a page. Positions are attributes of
    SVG, not styles: a page's policy allows no style but that of its style sheet.
    """
    if found is None or found.low is None or found.high is None:
        return Html("")
    low, value, high = (_at(share, width) for share in (found.low, found.value, found.high))
    return tag(
        "svg",
        *([tag("path", class_="tick", d=f"M{_at(chance, width)} 1V7")] if chance else []),
        tag("path", class_="line", d=f"M{low} 4H{high}"),
        tag("circle", cx=value, cy=4, r=2),
        class_="mark raw" if chance else "mark",
        width=width,
        height=HEIGHT,
        role="img",
        aria_label=f"95% interval {span(found)}",
    )


def ranks(rank: Rank | None, count: int) -> Html:
    """Where among `count` ranked rows the band lies, best on the left."""
    if rank is None or not count:
        return Html("")
    start = round((rank.best - 1) / count * WIDTH, 1)
    width = max(2.0, round((rank.worst - rank.best + 1) / count * WIDTH, 1))
    return tag(
        "svg",
        tag("rect", x=min(start, WIDTH - width), y=2, width=width, height=4, rx=1),
        class_="mark ranks",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=f"ranks {band(rank)} of {count}",
    )


def _at(share: float, width: int) -> float:
    return round(min(1.0, max(0.0, share)) * width, 1)
