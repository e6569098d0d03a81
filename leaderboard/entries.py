"""What a board is made of: accepted submissions with what was computed of them, and tasks unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leaderboard.board import Family, Row, Task


@dataclass(frozen=True)
class Told:
    """One task of an entry: what question it answered, and `benchmarks.results.Numbers` as JSON values."""

    task: str
    version: int
    data_hash: str
    metric: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """One accepted submission. `metadata` as the bundle has it; `reproduce` "": taken from the provenance."""

    id: str
    metadata: Mapping[str, Any]
    badge: str
    created: str
    scores: Sequence[Told]
    flags: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    throughput: Mapping[str, Any] = field(default_factory=dict)
    challenge: Mapping[str, Any] | None = None
    reproduce: str = ""


@dataclass(frozen=True)
class Units:
    """A task as it is asked now, and each entry's main metric on it: float64 [U] by entry id, in the order of units.

    Scores of another version or other data are not comparable: the board leaves them out and flags the row.
    """

    version: int
    data_hash: str
    clusters: Sequence[str]
    values: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Reported:
    """Rows that others print, with columns of their own under one heading."""

    family: Family
    tasks: Sequence[Task]
    rows: Sequence[Row]
