"""Rescoring: every number of a run computed again from its predictions alone, and compared with what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import predictions
from benchmarks.results import numbers, result_from_json, result_to_json
from benchmarks.types import Result
from fuselip.core.errors import UserError
from fuselip.core.files import read_json

TOLERANCE = 1e-9
"""Sums may be rounded otherwise on another machine; nothing a person could see."""


@dataclass(frozen=True)
class Rescored:
    """One task: its Result computed again, and the first number that is not what result.json says ("" = all agree)."""

    result: Result
    difference: str

    def __str__(self) -> str:
        shown = f"{self.result.name}: {self.result.metric} {100 * self.result.value:.1f}%, n = {self.result.n}"
        return f"{shown}: DIFFERS in {self.difference}" if self.difference else f"{shown}: agrees"


def rescore(run: Path) -> list[Rescored]:
    """Rescore every task of a run folder, by name. Raises UserError where it holds none, or a file cannot be read."""
    folders = sorted(path.parent for path in (run / "tasks").glob("*/result.json"))
    if not folders:
        raise UserError(f"{run} holds no results (tasks/*/result.json); give the folder that a run was written to")
    return [rescore_task(folder) for folder in folders]


def rescore_task(folder: Path) -> Rescored:
    """Rescore one task from its folder with result.json and predictions.parquet."""
    stored = result_from_json(read_json(folder / "result.json"), folder / "result.json")
    file = predictions.read(folder / "predictions.parquet")
    again = replace(stored, **vars(numbers(stored.metric, file.variants, stored.name, tuple(stored.metrics))))
    says = {"name": stored.name, "version": str(stored.version), "data_hash": stored.data_hash}
    difference = first_difference(says, {**file.header, "name": file.header["task"]}, only=says)
    return Rescored(again, difference or first_difference(result_to_json(stored), result_to_json(again)))


def first_difference(stored: Any, again: Any, where: str = "", only: Mapping[str, Any] | None = None) -> str:
    """The first place where two JSON values differ by more than rounding, in words; "" where they agree."""
    if isinstance(stored, Mapping) and isinstance(again, Mapping):
        pairs: Any = [(key, stored.get(key), again.get(key)) for key in only or {**again, **stored}]
    elif _is_list(stored) and _is_list(again) and len(stored) == len(again):
        pairs = [(index, *pair) for index, pair in enumerate(zip(stored, again, strict=True))]
    else:
        return "" if _same(stored, again) else f"{where}: says {stored!r}, computed {again!r}"
    found = (first_difference(old, new, f"{where}.{key}" if where else str(key)) for key, old, new in pairs)
    return next((difference for difference in found if difference), "")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _same(stored: Any, again: Any) -> bool:
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (stored, again))
    if numeric:
        return math.isclose(stored, again, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(stored == again)
