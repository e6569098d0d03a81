"""Making a mix: find its sets, say what is missing and where it comes from, write the index, tell what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.mix import index
from datagen.mix.config import MixConfig, MixSet
from datagen.mix.sets import Built, find, missing
from fuselip.core.errors import UserError


@dataclass(frozen=True)
class Mixed:
    """What was found; `lacking` are the sets that are not on this machine, with the reason."""

    config: MixConfig
    found: Sequence[Built]
    lacking: Sequence[tuple[MixSet, str]]


def gather(config: MixConfig) -> Mixed:
    """Look at all sets. Raises UserError for one that is there but damaged or not the preset's."""
    lacking = [(each, why) for each in config.sets if each.weight and (why := missing(each))]
    absent = {each.name for each, _ in lacking}
    found = [find(each) for each in config.sets if each.weight and each.name not in absent]
    return Mixed(config, found, lacking)


def write(mixed: Mixed, out: Path, allow_missing: bool = False) -> None:
    """Write the index. UserError where sets are missing, unless that is allowed, or none is there."""
    if mixed.lacking and (not allow_missing or not mixed.found):
        raise UserError(
            f"{len(mixed.lacking)} of {len(mixed.lacking) + len(mixed.found)} sets are not on this machine, and "
            f"nothing was written:\n{told_lacking(mixed)}"
            + ("" if not mixed.found else "\nbuild these, or leave them out with --allow-missing")
        )
    index.write(out, mixed.config, mixed.found, [each.name for each, _ in mixed.lacking])


def told_lacking(mixed: Mixed) -> str:
    lines = []
    for each, why in mixed.lacking:
        lines.append(f"  {each.name}: {why}")
        if each.paper is not None:
            lines.append(f"    comes from: {each.paper.origin}")
    return "\n".join(lines)


def to_rows(mixed: Mixed) -> list[dict[str, Any]]:
    """A row a set and one for all: as numbers, for JSON. `pairs_epoch` and `share` count the weights."""
    total = sum(each.pairs * each.config.weight for each in mixed.found)
    rows = [_row(each, each.pairs * each.config.weight / total if total else 0.0) for each in mixed.found]
    if rows:
        unimodal = sum(each.unimodal * each.config.weight for each in mixed.found)
        rows.append(
            {
                "set": "all",
                "weight": None,
                "groups": sum(row["groups"] for row in rows),
                "pairs": sum(row["pairs"] for row in rows),
                "unimodal": unimodal / total if total else 0.0,
                "pairs_epoch": round(total),
                "share": 1.0,
                "sampled": any(row["sampled"] for row in rows),
            }
        )
    return rows


def _row(each: Built, share: float) -> dict[str, Any]:
    return {
        "set": each.config.name,
        "weight": each.config.weight,
        "groups": round(each.groups),
        "pairs": round(each.pairs),
        "unimodal": each.unimodal / each.pairs if each.pairs else 0.0,
        "pairs_epoch": round(each.pairs * each.config.weight),
        "share": share,
        "sampled": each.virtual,
    }


def to_text(mixed: Mixed) -> str:
    """The rows as a table, and below it which numbers are estimates."""
    head = ("set", "weight", "groups", "pairs", "unimodal", "pairs/epoch", "share")
    lines = [head]
    for row in to_rows(mixed):
        about = "~" if row["sampled"] else ""
        lines.append(
            (
                row["set"],
                "" if row["weight"] is None else f"{row['weight']:g}",
                f"{about}{row['groups']}",
                f"{about}{row['pairs']}",
                f"{about}{row['unimodal']:.1%}",
                f"{about}{row['pairs_epoch']}",
                f"{row['share']:.1%}",
            )
        )
    text = _aligned(lines)
    for each in mixed.found:
        if each.virtual:
            items = sum(chunk.groups for chunk in each.chunks)
            drawn = f"counted on {each.sampled} of them" if each.sampled else "none of which could be drawn here"
            text += f"~ {each.config.name} is virtual: {items} source items, drawn anew every epoch; {drawn}\n"
    return text


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ""
    for first, *rest in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        text += "  ".join(cells).rstrip() + "\n"
    return text
