"""The types of the leaderboard: what is wrong with a submission, what its answers are, what was computed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.results import Numbers
from benchmarks.types import Prediction
from fuselip.core.types import Scalar


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, and how its owner mends it."""

    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.mend}"


@dataclass(frozen=True)
class Answer:
    """What the leaderboard knows of one query: its pool of bundles and the gain of each right one.

    A bundle is named by its smallest key, as in `benchmarks.types.Prediction`.
    """

    query: str
    pool: tuple[str, ...]
    gains: Mapping[str, float]
    cluster: str = ""
    group: str = ""
    tags: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerSheet:
    """All answers of one task, sorted by query key: built by the leaderboard itself, never read from a submission."""

    task: str
    version: int
    data_hash: str
    metric: str
    also: tuple[str, ...]
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class Scored:
    """One task of a submission, computed by us: predictions ranked again by variant, and all numbers that follow.

    `values` are the main metric's units (float64, one per unit, sorted by unit key) and `keys`, `clusters` name them.
    """

    sheet: AnswerSheet
    variants: Mapping[str, Sequence[Prediction]]
    numbers: Numbers
    keys: tuple[str, ...]
    clusters: tuple[str, ...]
    values: tuple[float, ...]


class Badge(StrEnum):
    """What was done to check a row, no more."""

    REPORTED = "reported"
    CONSISTENT = "consistent"
    CHALLENGED = "challenged"
    RERUN = "re-run"
