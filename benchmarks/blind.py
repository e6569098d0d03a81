"""Blind baselines: rankings that see no pixels and no model. What they score, a task gives away unsolved."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from benchmarks import score
from benchmarks.types import Candidate, Prediction, Query, TaskData
from fuselip.core import seeds
from fuselip.core.types import ImageRef, Input

BLIND = ("characters", "bag_of_words", "box_area")
FOLDS = 5
LARGE = 100
"""Candidates up to which a pool's words are compared with each query's; a larger one gets one order a fold."""

FIRST = 10
"""Best candidates kept of a larger pool: nothing is read from them but who they are."""

SHARED = 8
"""Words shared with the query, counted up to this many."""

DIGITS = 9
"""Decimals to which a sum of log-odds counts, so that equal bags of words are tied whatever the rounding."""

_WORD = re.compile(r"\w+")


def predictions(data: TaskData, *, top: int = 100) -> dict[str, list[Prediction]]:
    """The baselines that apply to this task, by name; one that does not is absent."""
    distinct = {candidate.content: candidate for candidate in data.candidates.values()}
    contents = [distinct[content] for content in sorted(distinct)]
    found: dict[str, list[Prediction]] = {}
    if contents and all(item.text for candidate in contents for item in candidate.inputs):
        lengths = np.array([-np.mean([len(item.text) for item in each.inputs]) for each in contents])
        found["characters"] = _fixed(data, contents, lengths, top)
        found["bag_of_words"] = _Words(data, contents).rank(top)
    areas = [_area(candidate) for candidate in contents]
    known = [area for area in areas if area is not None]
    if known and len(known) == len(areas):
        found["box_area"] = _fixed(data, contents, np.array(known), top)
    return found


def _area(candidate: Candidate) -> float | None:
    """Pixels of the box that a candidate was cropped to; None where it is no such crop."""
    images: list[ImageRef | None] = [item.image for item in candidate.inputs]
    steps = images[0].operations if len(images) == 1 and images[0] else ()
    for step in reversed(steps):
        params = {name: value for name, value in step.params if not isinstance(value, str)}
        if {"left", "top", "right", "bottom"} <= params.keys():
            return float((params["right"] - params["left"]) * (params["bottom"] - params["top"]))
        if {"left", "top", "width", "height"} <= params.keys():
            return float(params["width"] * params["height"])
    return None


def _fixed(data: TaskData, contents: Sequence[Candidate], worth: np.ndarray, top: int) -> list[Prediction]:
    """Every query ranks by the same worth, float64 [contents]; equal worth is a tie."""
    row_of = {candidate.content: row for row, candidate in enumerate(contents)}

    def scores(pool: score.Pool, queries: Sequence[Query]) -> list[np.ndarray]:
        return [spaced(worth[[row_of[content] for content in pool.contents]])] * len(queries)

    return _ranked(data, scores, top)


def _ranked(
    data: TaskData, scores: Callable[[score.Pool, Sequence[Query]], list[np.ndarray]], top: int
) -> list[Prediction]:
    """One Prediction a query, in order; `scores` are asked for one pool with all its queries at a time."""
    found: dict[int, Prediction] = {}
    for pool, indices in score.shared_pools(data.queries, data):
        queries = [data.queries[index] for index in indices]
        for index, query, row in zip(indices, queries, scores(pool, queries), strict=True):
            kept = top if len(pool.contents) <= LARGE else min(top, FIRST)
            found[index] = score.predict(query, pool, row, top=kept)
    return [found[index] for index in range(len(data.queries))]


def spaced(worth: np.ndarray) -> np.ndarray:
    """Scores in (0, 1], float64 [N] of float32 numbers, in the order of `worth`: equal where it is, else apart.

    Steps are wider than a tie as long as there are fewer than half a million distinct ones.
    """
    levels, places = np.unique(np.round(worth, DIGITS), return_inverse=True)
    return ((places + 1) / max(1, len(levels))).astype(np.float32).astype(np.float64)


class _Words:
    """Naive Bayes on the words of right and wrong candidates, and on the number of words shared with the query.

    A query is ranked by what the other folds teach; queries of one source image or group are in one fold. A whole
    text counts as a word too, which makes a frequent answer likely (a popularity prior).
    """

    def __init__(self, data: TaskData, contents: Sequence[Candidate]) -> None:
        self.data = data
        self.row_of = {candidate.content: row for row, candidate in enumerate(contents)}
        self.words: list[frozenset[str]] = [frozenset[str]().union(*map(_said, each.inputs)) for each in contents]
        names: dict[str, int] = {}
        rows = [
            sorted(names.setdefault(name, len(names)) for name in [*bag, f"={each.content}"])
            for bag, each in zip(self.words, contents, strict=True)
        ]
        self.sizes = np.array([len(row) for row in rows])
        self.tokens = np.concatenate([np.array(row, dtype=np.int64) for row in rows])
        self.vocabulary = len(names)
        self.fold_of = dict(zip((query.key for query in data.queries), folds(data.queries), strict=True))
        self._learn()

    def _learn(self) -> None:
        """Log-odds of each content [folds, contents] and of each count of shared words [folds, SHARED + 1]."""
        weights = np.zeros((2, FOLDS, len(self.words)))  # wrong, right: one for each query's candidates together
        shared = np.zeros((2, FOLDS, SHARED + 1))
        for pool, indices in score.shared_pools(self.data.queries, self.data):
            rows = np.array([self.row_of[content] for content in pool.contents])
            for query in (self.data.queries[index] for index in indices):
                fold, right = self.fold_of[query.key], _right(query, pool)
                if not right or len(right) == len(rows):
                    continue
                weights[1, fold, rows[right]] += 1 / len(right)
                if len(rows) > LARGE:  # all of a large pool stands for its wrong ones
                    weights[0, fold, rows] += 1 / len(rows)
                    continue
                wrong = [place for place in range(len(rows)) if place not in set(right)]
                weights[0, fold, rows[wrong]] += 1 / len(wrong)
                if query.input.text:
                    counts = self._shared(query, rows)
                    np.add.at(shared[1, fold], counts[right], 1 / len(right))
                    np.add.at(shared[0, fold], counts[wrong], 1 / len(wrong))
        self.shared = _log_odds(shared)
        self.content = np.empty((FOLDS, len(self.words)))
        ends = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        counted = [
            [np.bincount(self.tokens, np.repeat(row, self.sizes), self.vocabulary) for row in side] for side in weights
        ]
        for fold, odds in enumerate(_log_odds(np.array(counted))):
            self.content[fold] = np.add.reduceat(odds[self.tokens], ends)

    def _shared(self, query: Query, rows: np.ndarray) -> np.ndarray:
        asked = words(query.input.text)
        return np.array([min(SHARED, len(asked & self.words[row])) for row in rows.tolist()])

    def rank(self, top: int) -> list[Prediction]:
        return _ranked(self.data, self._scores, top)

    def _scores(self, pool: score.Pool, queries: Sequence[Query]) -> list[np.ndarray]:
        rows = np.array([self.row_of[content] for content in pool.contents])
        plain: dict[int, np.ndarray] = {}
        found = []
        for query in queries:
            fold = self.fold_of[query.key]
            if query.input.text and len(rows) <= LARGE:
                found.append(spaced(self.content[fold, rows] + self.shared[fold, self._shared(query, rows)]))
                continue
            if fold not in plain:
                plain[fold] = spaced(self.content[fold, rows])
            found.append(plain[fold])
        return found


def _right(query: Query, pool: score.Pool) -> list[int]:
    keys = (key for key, grade in query.relevance.items() if grade > 0 and key in pool.bundle_of)
    return sorted({pool.bundle_of[key] for key in keys})


def _log_odds(counted: np.ndarray) -> np.ndarray:
    """From weights [wrong and right, folds, N] of each fold, what all other folds say, [folds, N]; add-one smoothed."""
    others = counted.sum(axis=1, keepdims=True) - counted
    logs: np.ndarray = np.log(others + 1)
    return logs[1] - logs[0]


def _said(item: Input) -> frozenset[str]:
    return words(item.text)


@lru_cache(maxsize=1 << 12)
def words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def folds(queries: Sequence[Query]) -> list[int]:
    """The fold of each query, a function of names alone; queries that share a source image or a group share it."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = name = parent[above]
        return name

    ties = defaultdict(list)
    for query in queries:
        names = [f"cluster {query.cluster}"] * bool(query.cluster) + [f"group {query.group}"] * bool(query.group)
        ties[query.key] = names or [f"query {query.key}"]
        for name in names[1:]:
            first, second = sorted((root(names[0]), root(name)))
            parent[second] = first
    return [seeds.derive("blind", "fold", root(ties[query.key][0])) % FOLDS for query in queries]
