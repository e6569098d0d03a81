"""What a board is made of: accepted submissions with their scores, and the tasks unit by unit; two queries each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import msgspec
import numpy as np
from sqlalchemy import String, select, type_coerce

from fuselip.core.errors import UserError
from leaderboard.copies import Other, decode
from leaderboard.entries import Entry, Told, Units
from leaderboard.store.database import Database
from leaderboard.store.models import Challenge, Fingerprint, Score, Sheet, Submission

MAIN = ("value", "low", "high", "interval", "chance", "n", "clusters")
"""Of a score's numbers, what has columns of its own."""

_NOT_SHOWN = ("refused", "received", "verifying")


class Standings(Database):
    """Reading for the board. Nothing here writes."""

    def rows(self) -> list[Entry]:
        """Accepted submissions, oldest first, each with its scores by task name."""
        chosen = select(Submission).where(Submission.state == "accepted").order_by(Submission.created, Submission.id)
        told = (
            select(
                *(Score.submission_id, Score.task, Score.version, Score.data_hash, Score.metric),
                type_coerce(Score.numbers, String),
                *(getattr(Score, name) for name in MAIN),
            )
            .join(Submission)
            .where(Submission.state == "accepted")
            .order_by(Score.submission_id, Score.task)
        )
        held = select(Challenge.used_by, Challenge.result).where(Challenge.state == "scored").order_by(Challenge.used)
        with self.reading() as session:
            found = session.scalars(chosen).all()
            scores: dict[str, list[Told]] = {}
            for id, task, version, data_hash, metric, numbers, *main in session.execute(told):
                read = LazyNumbers(dict(zip(MAIN, main, strict=True)), numbers)
                scores.setdefault(id, []).append(Told(task, version, data_hash, metric, read))
            challenges = {row.used_by: row.result for row in session.execute(held)}
        return [
            Entry(
                id=row.id,
                metadata=row.metadata_,
                badge=row.badge,
                created=row.created,
                scores=scores.get(row.id, []),
                flags=row.flags,
                provenance=row.provenance,
                throughput=row.throughput,
                challenge=challenges.get(row.id),
            )
            for row in found
        ]

    def units(self, ids: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> dict[str, Units]:
        """By task, as it was last asked anew (its newest sheet): values of accepted submissions, float64 [U] each.

        `ids` and `tasks` narrow it down. Scores on an older version or other data are left out.
        """
        sheets = select(Sheet).order_by(Sheet.created, Sheet.task, Sheet.version, Sheet.data_hash)
        values = (
            select(Score.task, Score.version, Score.data_hash, Score.submission_id, Score.unit_values)
            .join(Submission)
            .where(Submission.state == "accepted")
        )
        if tasks is not None:
            sheets, values = sheets.where(Sheet.task.in_(tasks)), values.where(Score.task.in_(tasks))
        if ids is not None:
            values = values.where(Score.submission_id.in_(ids))
        with self.reading() as session:
            newest = {sheet.task: sheet for sheet in session.scalars(sheets)}
            by_task: dict[str, dict[str, np.ndarray]] = {task: {} for task in newest}
            for task, version, data_hash, id, blob in session.execute(values.order_by(Score.submission_id)):
                if (version, data_hash) == (newest[task].version, newest[task].data_hash):
                    by_task[task][id] = np.frombuffer(blob, "<f8")
        return {
            task: Units(sheet.version, sheet.data_hash, _decode(sheet)[1], by_task[task])
            for task, sheet in sorted(newest.items())
        }

    def sheet_units(self, task: str) -> tuple[list[str], list[str]]:
        """(unit keys, the cluster of each) of the newest sheet. Raises UserError where nobody was scored on it."""
        wanted = select(Sheet).where(Sheet.task == task).order_by(Sheet.created.desc(), Sheet.version.desc()).limit(1)
        with self.reading() as session:
            found = session.scalar(wanted)
        if found is None:
            raise UserError(f"no submission was scored on {task[:80]!r}")
        return _decode(found)

    def others(self, id: str) -> Others:
        """The fingerprints of all other submissions that were ever accepted, read one by one."""
        return Others(self, id)


class LazyNumbers(Mapping[str, Any]):
    """`benchmarks.results.Numbers` as JSON values; all but MAIN is decoded when it is first asked for.

    Decoding everything of 30 000 scores takes seconds, most of it the garbage collector's.
    """

    def __init__(self, main: Mapping[str, Any], text: str) -> None:
        self._main, self._text = main, text
        self._all: dict[str, Any] | None = None

    def _decoded(self) -> dict[str, Any]:
        if self._all is None:
            self._all = msgspec.json.decode(self._text)
        return self._all

    def __getitem__(self, name: str) -> Any:
        return self._main[name] if name in self._main else self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())


class Others(Sequence[Other]):
    """One submission's fingerprints at a time: all together can be larger than the memory of a verification."""

    def __init__(self, store: Database, id: str) -> None:
        wanted = select(Submission.id, Submission.token_id).where(Submission.state.not_in(_NOT_SHOWN))
        with store.reading() as session:
            owners = {row.id: row.token_id for row in session.execute(wanted.order_by(Submission.id))}
            owner = session.scalar(select(Submission.token_id).where(Submission.id == id))
        self._store = store
        self._found = [(name, owner is not None and token == owner) for name, token in owners.items() if name != id]

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, at: int) -> Other: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Other]: ...

    def __getitem__(self, at: int | slice) -> Other | Sequence[Other]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        id, own = self._found[at]
        with self._store.reading() as session:
            held = session.get(Fingerprint, id)
        return Other(id, decode(held.prints) if held else {}, own)


def _decode(sheet: Sheet) -> tuple[list[str], list[str]]:
    keys, clusters = msgspec.json.decode(sheet.units)
    return keys, clusters
