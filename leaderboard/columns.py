"""Columns of the board: the tasks, what is known of them, and whether they need fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import tasks as registry
from benchmarks.report import clean
from benchmarks.types import TaskSpec
from leaderboard import board, families
from leaderboard.entries import Entry, Told, Units


def column(name: str, spec: TaskSpec | None, told: Sequence[tuple[Entry, Told]], held: Units | None) -> board.Task:
    """The column of a task; `spec` is None for one that is not of the suite, hence not averaged."""
    row = spec or registry.TASKS.get(name)
    numbers: Mapping[str, Any] = told[0][1].numbers if told else {}
    needs_fusion, audit = _audit(told)
    return board.Task(
        name=name,
        version=held.version if held else row.version if row else 0,
        data_hash=held.data_hash if held else "",
        family=families.family(name),
        metric=told[0][1].metric if told else row.metric if row else "",
        chance=numbers.get("chance", row.chance if row else None),
        n=numbers.get("n", 0),
        clusters=numbers.get("clusters", 0),
        needs_fusion=needs_fusion,
        audit=audit,
        description=row.description if row else "",
        modalities=row.modalities if row else "",
        counted=spec is not None,
    )


def _audit(told: Sequence[tuple[Entry, Told]]) -> tuple[bool | None, str]:
    """Whether the task needs fusion, and why, from the audits that we computed (the rule: `benchmarks.shortcuts`).

    One baseline that gets far is enough to say no; the reason names the encoder whose half it was, and of how many.
    """
    audits = [(entry, score.numbers.get("audit") or {}) for entry, score in told]
    unfused = [(entry, audit) for entry, audit in audits if audit.get("needs_fusion") is False]
    if unfused:
        entry, audit = unfused[0]
        name = clean(str(entry.metadata.get("name") or entry.id))
        return False, f"{clean(str(audit.get('reason')))} ({name}; so in {len(unfused)} of {len(audits)} rows)"
    fused = [audit for _, audit in audits if audit.get("needs_fusion") is True]
    if fused:
        return True, f"{clean(str(fused[0].get('reason')))} (in any of {len(fused)} rows)"
    return None, ""
