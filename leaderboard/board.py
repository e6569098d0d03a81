"""The board: one document of rows, scores, averages and ranks that feeds the JSON API, the pages and the exports.

`leaderboard.compose` makes it; `leaderboard.reported` adds what others print.
"""

from __future__ import annotations

from typing import Any

import msgspec

SCHEMA = 1

CHALLENGE = ("public", "challenge", "gap", "low", "high", "credible")
"""What a row tells of its newest challenge: chance-normalised scores, their difference with its interval, a verdict."""

METHOD = {
    "score": "each task's main metric, with the interval that a run tells",
    "normalised": "(score - chance) / (1 - chance): 0 is guessing, 1 is perfect",
    "average": "the mean over the suite's tasks of normalised scores, each task counting the same; of rows that have "
    "all tasks only, nothing is filled in. A row that lacks tasks has a partial average over those it has, and no rank",
    "interval": "95%, by Student's t from source images; an image that several tasks use counts once",
    "rank": "best: one plus the rows significantly better; worst: all ranked rows but those significantly worse. "
    "Paired tests of all pairs over source images, with Holm's correction, 5% for the whole table",
    "reported": "printed by others, not computed here: not comparable, neither ranked nor averaged",
}


class Interval(msgspec.Struct, frozen=True):
    """A number with its 95% interval; shares, or chance-normalised shares (which may be below 0)."""

    value: float
    low: float
    high: float


class Score(msgspec.Struct, frozen=True):
    """A row on a task: shares in [0, 1]. What was not told (of reported rows) is None."""

    value: float
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    normalised: float | None = None


class Coverage(msgspec.Struct, frozen=True):
    """How many of the suite's tasks a row has."""

    tasks: int
    of: int


class Rank(msgspec.Struct, frozen=True):
    """The band of ranks that paired tests leave: best <= worst, from 1."""

    best: int
    worst: int


class Family(msgspec.Struct, frozen=True):
    """Tasks under one heading, in the order of the board."""

    name: str
    title: str
    tasks: list[str]


class Task(msgspec.Struct, frozen=True):
    """A column. `counted`: part of the suite, hence of averages. `audit` says why the task needs fusion or not.

    `needs_fusion` is false where a baseline that sees nothing or half of a query gets far, None where nobody knows.
    """

    name: str
    version: int
    data_hash: str
    family: str
    metric: str
    chance: float | None
    n: int
    clusters: int
    needs_fusion: bool | None
    audit: str
    description: str
    modalities: str
    counted: bool = True


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An encoder. `average` and `rank` need every task of the suite; `partial` is the average over those it has.

    `comparable` is false for what others report: such rows have `scores` alone. `skills` by task, as results tell them.
    """

    id: str
    name: str
    organisation: str = ""
    link: str = ""
    revision: str = ""
    licence: str = ""
    parameters: int | None = None
    dimension: int | None = None
    fusion_policy: str = ""
    training_data: str = ""
    badge: str
    created: str = ""
    comparable: bool = True
    flags: list[str] = []
    coverage: Coverage
    average: Interval | None = None
    partial: Interval | None = None
    rank: Rank | None = None
    embedding_bytes: int | None = None
    throughput: dict[str, Any] = {}
    families: dict[str, Interval] = {}
    scores: dict[str, Score] = {}
    skills: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    reproduce: str = ""
    challenge: dict[str, Any] | None = None
    source: str = ""


class Pairs(msgspec.Struct, frozen=True):
    """Ranked rows against each other: upper triangles, row by row ((0,1), (0,2), ..., (1,2), ...) of the rows `ids`.

    `difference` of averages, first - second; `margin` half of its 95% interval; `p` after Holm over all pairs.
    """

    ids: list[str] = []
    difference: list[float] = []
    margin: list[float] = []
    p: list[float] = []

    def of(self, first: str, second: str) -> tuple[float, float, float] | None:
        """(difference first - second, margin, p) of two rows by id; None where one of them is not ranked."""
        if first not in self.ids or second not in self.ids or first == second:
            return None
        i, j = sorted((self.ids.index(first), self.ids.index(second)))
        at = i * (2 * len(self.ids) - i - 1) // 2 + j - i - 1
        sign = 1 if self.ids[i] == first else -1
        return sign * self.difference[at], self.margin[at], self.p[at]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The whole board. `clusters` is the number of source images behind averages, `few` where they are under 10."""

    schema: int = SCHEMA
    made: dict[str, Any]
    suite: str
    method: dict[str, str]
    clusters: int
    few: bool
    families: list[Family]
    tasks: list[Task]
    rows: list[Row]
    pairs: Pairs


def to_json(document: Board) -> bytes:
    """UTF-8 JSON; the same board gives the same bytes."""
    return msgspec.json.encode(document, order="deterministic")


def from_json(data: bytes) -> Board:
    """What `to_json` wrote. Raises msgspec.ValidationError for anything else."""
    return msgspec.json.decode(data, type=Board)


def light(document: Board) -> Board:
    """The board without what only one row's page or a comparison needs: skills, provenance and pairs."""
    rows = [msgspec.structs.replace(row, skills={}, provenance={}) for row in document.rows]
    return msgspec.structs.replace(document, rows=rows, pairs=Pairs())
