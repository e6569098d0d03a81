"""Copies: whether two submissions ranked the same questions the same way, or so nearly that one may be the other's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.vectors import TIE
from fuselip.core.errors import UserError
from leaderboard.types import Scored

KEPT = 10
"""First places of each question that are compared."""

ENOUGH = 200
"""Places that two submissions could have filled otherwise; fewer prove nothing (see `Print.free`)."""

SAME_FIRST = 0.95
SAME_ORDER = 0.98
"""Share of equal first places, and rank correlation, from which on two submissions are near copies."""

CEILING = 0.95
"""Where both score this much there is one right order at the top, and agreeing on it says nothing."""

_NONE = -1


class Print(msgspec.Struct, frozen=True, array_like=True):
    """How one submission ranked one task: what is stored, and compared with every other submission's.

    `digest` covers task, version, data and the whole listed ranking of every question. `places` are int32 [Q, KEPT]
    little endian, by query key: the pool's bundle in each place, -1 beyond the list and throughout a question all of
    whose scores are tied, whose order the encoder did not choose.
    """

    task: str
    data_hash: str
    digest: str
    value: float
    places: bytes

    def table(self) -> np.ndarray:
        return np.frombuffer(self.places, "<i4").reshape(-1, KEPT)

    @property
    def free(self) -> int:
        """Places below the first that were filled by choice: with two candidates, none once the first is right."""
        counts = (self.table() != _NONE).sum(axis=1)
        return int(np.maximum(counts - 2, 0).sum())


@dataclass(frozen=True)
class Other:
    """Another submission, as it is stored. `own`: of the same owner, who may submit the same again."""

    id: str
    prints: Mapping[str, Print]
    own: bool = False


@dataclass(frozen=True)
class Likeness:
    """Two submissions on the tasks both have. `identical`: every ranking; `first`, `order`: as in SAME_FIRST, over the
    questions of tasks on which not both are at the ceiling, nan where too few are left; `near`: both are reached.
    """

    tasks: int
    identical: bool
    first: float
    order: float

    @property
    def near(self) -> bool:
        return self.first >= SAME_FIRST and self.order >= SAME_ORDER


def prints(scored: Mapping[str, Scored]) -> dict[str, Print]:
    """One for each task, from the model's predictions as they were ranked here."""
    return {name: _print(each) for name, each in scored.items()}


def _print(scored: Scored) -> Print:
    sheet, rows = scored.sheet, sorted(scored.variants["model"], key=lambda row: row.query)
    digest = hashlib.sha256(repr((sheet.task, sheet.version, sheet.data_hash)).encode())
    table = np.full((len(rows), KEPT), _NONE, "<i4")
    pool: tuple[str, ...] = ()
    place_of: dict[str, int] = {}
    for line, row in zip(table, rows, strict=True):
        if sheet.answers[row.query].pool is not pool:  # one object for all questions that share it
            pool = sheet.answers[row.query].pool
            place_of = {key: place for place, key in enumerate(pool)}
        order = np.array([place_of[key] for key, _ in row.top], "<i4")
        digest.update(order.tobytes())
        if row.top[0][1] - min(value for _, value in row.top) > TIE:
            line[: len(order)] = order[:KEPT]
    return Print(sheet.task, sheet.data_hash, digest.hexdigest(), scored.numbers.value, table.tobytes())


def encode(found: Mapping[str, Print]) -> bytes:
    """The prints of a submission as they are stored (msgpack, no code)."""
    return msgspec.msgpack.encode(dict(found))


def decode(data: bytes) -> dict[str, Print]:
    """Raises UserError for what `encode` has not written."""
    try:
        return msgspec.msgpack.decode(data, type=dict[str, Print])
    except msgspec.MsgspecError as error:
        raise UserError(f"the stored fingerprints are damaged ({error}); verify the submission again") from error


def compare(mine: Mapping[str, Print], other: Mapping[str, Print]) -> Likeness:
    """The two on the tasks whose questions are the same."""
    pairs = [
        (mine[name], other[name])
        for name in sorted(mine.keys() & other.keys())
        if mine[name].data_hash == other[name].data_hash
    ]
    same = bool(pairs) and all(one.digest == two.digest for one, two in pairs)
    telling = [pair for pair in pairs if min(pair[0].value, pair[1].value) < CEILING]
    tables = [(one.table(), two.table()) for one, two in telling]
    chosen = [(one[:, 0] != _NONE) & (two[:, 0] != _NONE) for one, two in tables]
    tables = [(one[rows], two[rows]) for (one, two), rows in zip(tables, chosen, strict=True)]
    first, order = np.nan, np.nan
    if sum(int(np.maximum((one != _NONE).sum(axis=1) - 2, 0).sum()) for one, _ in tables) >= ENOUGH:
        equal = np.concatenate([one[:, 0] == two[:, 0] for one, two in tables])
        first, order = float(equal.mean()), (_order(tables) + _order([pair[::-1] for pair in tables])) / 2
    return Likeness(len(pairs), same and sum(one.free for one, _ in pairs) >= ENOUGH, first, order)


def _order(tables: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Rank correlation: of each place in one list with that of the same bundle in the other (KEPT if it has none).

    Places count from the middle of their question's list, so that long lists and short ones do not correlate by length.
    """
    sides: list[tuple[np.ndarray, np.ndarray]] = []
    for one, two in tables:
        there = one != _NONE
        found = one[:, :, None] == two[:, None, :]
        beyond = (two != _NONE).sum(axis=1, keepdims=True)
        second = np.where(found.any(axis=2), found.argmax(axis=2), beyond)
        middle = (there.sum(axis=1, keepdims=True) - 1) / 2
        sides.append(((np.arange(KEPT) - middle)[there], (second - middle)[there]))
    here, second = (np.concatenate(side) for side in zip(*sides, strict=True))
    if not here.std() or not second.std():
        return 1.0 if np.array_equal(here, second) else 0.0
    return float(np.corrcoef(here, second)[0, 1])
