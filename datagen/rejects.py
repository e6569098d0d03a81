"""What was left out of a set, and taking it again once it has been mended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen import output
from datagen.generate import Again
from datagen.output import Record
from fuselip.core.errors import UsageError, UserError

CHANGED = "changed"


def read(out: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(shard, reject) for all rejects of the finished shards, in order."""
    for path in sorted((out / "rejects").glob("*.jsonl")):
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                try:
                    value = json.loads(line)
                    yield int(path.stem), {key: value[key] for key in ("position", "item", "reason", "detail", "error")}
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(f"{path} is damaged ({error!r}); `fuselip-datagen verify` tells more") from error


def choose(out: Path, reason: str) -> Again:
    """Which finished shards `retry REASON` makes anew: those that hold a reject of that code, or with it in its words.

    `changed` stands for shards whose source items are not what they were. UsageError where nothing is meant.
    """
    found, codes = set[int](), Counter[str]()
    for shard, each in read(out):
        codes[each["reason"]] += 1
        if reason == each["reason"] or reason in each["detail"]:
            found.add(shard)
    if not found and reason != CHANGED:
        listed = ", ".join(f"{code} ({count})" for code, count in sorted(codes.items())) or "there are no rejects"
        raise UsageError(f"nothing was rejected for {reason!r} in {out}; reasons: {listed}")

    def again(record: Record, changed: bool) -> bool:
        return record.shard in found or (changed and reason == CHANGED)

    return again


def summary(out: Path) -> Counter[str]:
    return Counter(each["reason"] for _, each in read(out))


def source_of(out: Path, source: str | None, data_root: str | None) -> tuple[str, str | None] | None:
    """The source spec and data root of a set: as given, else as its last session on this machine had them."""
    if source is not None:
        return source, data_root
    session = output.last_session(out)
    spec, root = session.get("source"), session.get("data_root")
    return (str(spec), data_root or (str(root) if root else None)) if spec else None
