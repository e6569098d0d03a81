"""Distributions of a set, from its index: sets, texts, parameters, sizes, and what was left out and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen import index, output, rejects, virtual
from fuselip.core.html import bars, page, tag

# Values told apart of one parameter; a parameter with more is shown as ranges (numbers) or its first values (texts).
MAX_VALUES = 12
MAX_KEPT = 10_000
BAR = 30


@dataclass
class Distribution:
    """How often each value occurs. Beyond MAX_KEPT different ones, new values are counted together."""

    title: str
    counts: Counter[Any] = field(default_factory=Counter)

    def add(self, value: Any, number: int = 1) -> None:
        kept = value in self.counts or len(self.counts) < MAX_KEPT
        self.counts[value if kept else "(others)"] += number

    def rows(self) -> list[tuple[str, int]]:
        """(label, count): by value for numbers, in ranges where there are many; else the commonest first."""
        numbers = {value: count for value, count in self.counts.items() if isinstance(value, int | float)}
        if len(numbers) == len(self.counts):
            return _ranges(numbers) if len(numbers) > MAX_VALUES else [(f"{v:g}", numbers[v]) for v in sorted(numbers)]
        rows = [(str(value), count) for value, count in self.counts.most_common(MAX_VALUES)]
        if rest := self.counts.total() - sum(count for _, count in rows):
            rows.append((f"({len(self.counts) - MAX_VALUES} others)", rest))
        return rows


def distributions(out: Path) -> list[Distribution]:
    """All distributions of a set's finished shards. Raises UserError for damaged files."""
    config = output.read_config(out)
    found: dict[str, Distribution] = {}

    def add(title: str, value: Any) -> None:
        found.setdefault(title, Distribution(title)).add(value)

    if config.virtual:
        for row in virtual.read(out):
            add("rows by recipe", f"{row['recipe']} v{row['version']}")
            add("captions an item", len(json.loads(row["item"])["captions"]))
    else:
        for path in sorted((out / "index").glob("*.parquet")):
            for row in index.read(path):
                _add_row(row, add)
    for _, reject in rejects.read(out):
        add("left out, by reason", reject["reason"])
    return list(found.values())


def _add_row(row: Mapping[str, Any], add: Any) -> None:
    add("pairs by shard set", row["set"])
    for side in ("left", "right"):
        modality = [
            name for name, there in (("image", row[f"{side}_image"] >= 0), ("text", row[f"{side}_text"])) if there
        ]
        add(f"{side}: modality", "+".join(modality))
        if row[f"{side}_text"]:
            add(f"{side}: words a text", len(row[f"{side}_text"].split()))
    if row["pair"] == 0:
        add("groups by recipe", f"{row['recipe']} v{row['version']}")
        add("kB a group (images)", round(row["bytes"] / 1000))
        for key, value in json.loads(row["params"]).items():
            add(f"parameter {key}", value)


def to_text(found: list[Distribution]) -> str:
    """Bars made of characters, for a terminal."""
    lines = []
    for each in found:
        rows = each.rows()
        most, width = max(count for _, count in rows), max(len(_short(label)) for label, _ in rows)
        lines.append(each.title)
        for label, count in rows:
            lines.append(f"  {_short(label):<{width}}  {count:>9}  {'#' * round(BAR * count / most)}")
        lines.append("")
    return "\n".join(lines)


def to_html(out: Path, found: list[Distribution]) -> str:
    parts = [part for each in found for part in (tag("h2", each.title), bars(each.rows()))]
    return page(f"Distributions of {out.name}", *parts)


def to_json(found: list[Distribution]) -> dict[str, list[tuple[str, int]]]:
    return {each.title: each.rows() for each in found}


def _short(text: str) -> str:
    text = "".join(each if each.isprintable() else " " for each in text)
    return text if len(text) <= 40 else text[:39] + "…"


def _ranges(numbers: Mapping[float, int]) -> list[tuple[str, int]]:
    """At most MAX_VALUES ranges of equal width; those of whole numbers are written with both ends."""
    low, high = min(numbers), max(numbers)
    whole = all(isinstance(number, int) for number in numbers)
    width = -(-(high - low + 1) // MAX_VALUES) if whole else (high - low) / MAX_VALUES
    counts = Counter[int]()
    for number, count in numbers.items():
        counts[min(int((number - low) / width), MAX_VALUES - 1)] += count
    return [
        (f"{low + i * width:.4g} to {low + (i + 1) * width - (1 if whole else 0):.4g}", counts[i])
        for i in range(max(counts) + 1)
    ]
