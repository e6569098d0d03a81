"""What a store gives beside its board: the questions on which its encoders disagree, and the log of its challenges."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from leaderboard import bundle
from leaderboard.answers import Book, NoAnswers
from leaderboard.board import Board
from leaderboard.site import columns
from leaderboard.site.questions import TaskQuestions, questions

if TYPE_CHECKING:
    from leaderboard.store import Store

ENCODERS = 12
"""The best rows, whose answers are held against each other; each one's bundle is in memory meanwhile."""


def disagreements(store: Store, board: Board, book: Book) -> Iterator[TaskQuestions]:
    """The most disagreed questions of every task on the board that two or more of the best rows have.

    A task whose questions are not at hand (its public data is not in the book's folder) is left out.
    """
    best = [row.id for row in columns.ranked(board)[:ENCODERS]]
    bundles = {id_: bundle.read(store.bundle_path(store.submission(id_).sha256)) for id_ in best}
    scored = {row.id: row.scores for row in board.rows}
    for task in columns.shown_tasks(board):
        # A row's scores are those on the questions as they are asked now; what a bundle holds may be older.
        having = [id_ for id_ in best if task.name in scored[id_]]
        if len(having) < 2:
            continue
        try:
            _, data = book.data(task.name, task.version, task.data_hash)
            answers = book.get(task.name, task.version, task.data_hash).answers
        except NoAnswers:
            continue
        predictions = {id_: bundles[id_].tasks[task.name].predictions.variants["model"] for id_ in having}
        yield questions(task.name, data, answers, predictions)


def challenge_log(store: Store) -> list[dict[str, Any]]:
    """Every challenge; its seed only once it has expired, when nobody can gain from it."""
    now = datetime.now(UTC)
    return [
        {
            **{key: getattr(held, key) for key in ("id", "created", "expires", "state", "used_by")},
            "seed": held.seed if datetime.fromisoformat(held.expires) < now else None,
        }
        for held in store.challenges()
    ]
