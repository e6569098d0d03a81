"""What a site is built of: a store's board, the questions on which its encoders disagree, its log of challenges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fuselip.core.provenance import provenance
from leaderboard import bundle
from leaderboard.answers import Book, NoAnswers
from leaderboard.board import Board, Task
from leaderboard.compose import compose
from leaderboard.reported import paper
from leaderboard.site import columns
from leaderboard.site.questions import TaskQuestions, questions

if TYPE_CHECKING:
    from leaderboard.store import Store

ENCODERS = 12
"""The best rows, whose answers are held against each other; each one's bundle is in memory meanwhile."""


class Disagreements:
    """The most disagreed questions of every task on a board that two or more of its best rows have."""

    def __init__(self, store: Store, board: Board, book: Book) -> None:
        self._store, self._board, self._book = store, board, book
        self._bundles: dict[str, bundle.Bundle] = {}

    def tasks(self) -> Iterator[tuple[Task, list[str]]]:
        """Tasks, each with the ids of the best rows that have it, best first."""
        best = columns.ranked(self._board)[:ENCODERS]
        for task in columns.shown_tasks(self._board):
            # A row's scores are those on the questions as they are asked now; what a bundle holds may be older.
            having = [row.id for row in best if task.name in row.scores]
            if len(having) > 1:
                yield task, having

    def questions(self, task: Task, having: Sequence[str]) -> TaskQuestions | None:
        """None where the questions are not at hand: a task's public data is not in the book's folder."""
        try:
            _, data = self._book.data(task.name, task.version, task.data_hash)
            answers = self._book.get(task.name, task.version, task.data_hash).answers
        except NoAnswers:
            return None
        predictions = {id_: self._bundle(id_).tasks[task.name].predictions.variants["model"] for id_ in having}
        return questions(task.name, data, answers, predictions)

    def _bundle(self, id_: str) -> bundle.Bundle:
        if id_ not in self._bundles:
            sha256 = self._store.submission(id_).sha256
            self._bundles[id_] = bundle.read(self._store.bundle_path(sha256))
        return self._bundles[id_]


def disagreements(store: Store, board: Board, book: Book) -> Iterator[TaskQuestions]:
    """All of them, looked at now. A task whose questions are not at hand is left out."""
    found = Disagreements(store, board, book)
    for task, having in found.tasks():
        if asked := found.questions(task, having):
            yield asked


def composed(store: Store, suite: str = "core") -> Board:
    """The board of a store, as strangers see it: of this process they are told the program, not where it runs."""
    made = {key: value for key, value in provenance().items() if key in ("fuselip", "commit", "created")}
    return compose(store.rows(), store.units(), paper(), suite=suite, made=made)


def challenge_log(store: Store) -> list[dict[str, Any]]:
    """Every challenge, with its outcome; its seed only once it has expired, when nobody can gain from it."""
    now = datetime.now(UTC)
    return [
        {
            **{key: getattr(held, key) for key in ("id", "created", "expires", "state", "used_by")},
            "outcome": held.result.get("outcome"),
            "seed": held.seed if datetime.fromisoformat(held.expires) < now else None,
        }
        for held in store.challenges()
    ]
