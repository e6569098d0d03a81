"""The metadata to fill in: what a run recorded of its encoder, and empty fields for what only its owner knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fuselip.core.errors import UserError
from fuselip.core.files import atomic
from leaderboard import metadata as meta
from leaderboard.pack import read_summary, scored_as


def template(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with "" (texts) and null (counts) where the run recorded nothing; `parse` tells each of them."""
    encoder, scored = summary["model"], scored_as(summary)
    fusion = encoder.get("fusion")
    known = {
        "name": encoder.get("name"),
        "revision": encoder.get("revision"),
        "licence": encoder.get("licence"),
        "parameters": encoder.get("params"),
        "dimension": scored.get("dim") or encoder.get("dim"),
        "fusion_policy": None if fusion in meta.UNDECLARED else fusion,
    }
    fields = {name: known.get(name) for name in meta.EXAMPLES if name != "quantised"}
    counts = ("parameters", "dimension")
    told = {name: value or (None if name in counts else "") for name, value in fields.items()}
    return {**told, "quantised": scored["quantise"]} if scored.get("quantise") else told


def offer(run: Path, metadata: Path | None) -> UserError:
    """What to tell who packs without metadata; the file that was named and is not there is written, to be filled in.

    Raises UserError where the run cannot be read, or the file cannot be written.
    """
    told = template(read_summary(run))
    text = msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
    empty = [name for name, value in told.items() if value in ("", None)]
    hints = "\n".join(f"  {name}: such as {meta.example(name)}" for name in empty)
    if metadata is None:
        return UserError(f"--metadata FILE is missing: who submits what, as JSON. What the run recorded:\n{text}\n"
                         f"save it, and fill in\n{hints}")  # fmt: skip
    with atomic(metadata) as stream:
        stream.write(text.encode() + b"\n")
    return UserError(
        f"{metadata} was not there. It is written now, with what the run recorded:\n{text}\n"
        f"fill in, then give the same command again:\n{hints}"
    )
