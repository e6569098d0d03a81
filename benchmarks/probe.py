"""Linear probe: logistic regression on an encoder's vectors of labelled pictures, read as scores of the classes."""

from __future__ import annotations

import warnings

import numpy as np

from benchmarks import score
from benchmarks.types import Prediction, TaskData
from fuselip.core import seeds
from fuselip.core.errors import UserError

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
"""Inverse regularisation C, from strong to weak, that is chosen from; for vectors of length 1."""

HELD_OUT = 0.2
ITERATIONS = 1000


def predictions(
    data: TaskData,
    training_vectors: np.ndarray,
    query_vectors: np.ndarray,
    *,
    top: int = 100,
    encoder: str = "the encoder",
) -> list[Prediction]:
    """One Prediction per query of `data`, in order, from a classifier fitted on `data.training`.

    `training_vectors` [T, D] belong to `data.training`, `query_vectors` [Q, D] to `data.queries`; only their
    directions count. A candidate without a training example stands below all others. Raises UserError for vectors
    that are not finite or of the wrong shape, and for a training split of fewer than two classes; ValueError for one
    that names a class the task does not have.
    """
    keys = [key for _, key in data.training]
    if unknown := next((key for key in keys if key not in data.candidates), None):
        raise ValueError(f"the training split has class {unknown!r}, which is no candidate of the task")
    if len(set(keys)) < 2:
        raise UserError("a linear probe needs examples of at least two classes to learn from; raise --limit")
    known = score.unit(score.check_vectors(training_vectors, [item.key for item, _ in data.training], encoder))
    asked = score.unit(score.check_vectors(query_vectors, [query.key for query in data.queries], encoder))
    classes, labels = np.unique(np.array(keys, dtype=object).astype(str), return_inverse=True)
    decided = decide(known, labels, asked, choose(known, labels))
    decided = np.concatenate([decided, decided.min(axis=1, keepdims=True) - 1], axis=1)  # the last: for unknown classes
    column = {str(key): index for index, key in enumerate(classes)}
    found: dict[int, Prediction] = {}
    for pool, indices in score.shared_pools(data.queries, data):
        width = max(map(len, pool.members))
        columns = [[column.get(key, -1) for key in members] for members in pool.members]
        columns_BM = np.array([row + row[:1] * (width - len(row)) for row in columns])
        for index in indices:
            scores = decided[index][columns_BM].max(axis=1)
            found[index] = score.predict(data.queries[index], pool, scores, top=top)
    return [found[index] for index in range(len(data.queries))]


def choose(vectors_TD: np.ndarray, labels_T: np.ndarray) -> float:
    """The strength that is right most often on a fifth of every class, held out by a fixed draw (the first of equals).

    Nothing is held out of a class of fewer than five examples: all are needed for the fit.
    """
    held = np.zeros(len(labels_T), bool)
    generator = seeds.generator("probe", "held out")
    for label in range(int(labels_T.max()) + 1):
        [members] = np.nonzero(labels_T == label)
        held[generator.permutation(members)[: int(HELD_OUT * len(members))]] = True
    if not held.any():
        return 1.0

    def right(strength: float) -> float:
        decided = decide(vectors_TD[~held], labels_T[~held], vectors_TD[held], strength)
        return float(np.mean(decided.argmax(axis=1) == labels_T[held]))

    return max(STRENGTHS, key=right)


def decide(known_TD: np.ndarray, labels_T: np.ndarray, asked_QD: np.ndarray, strength: float) -> np.ndarray:
    """float64 [Q, classes]: the decision values of a classifier fitted on (known, labels 0 .. classes - 1)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a weak regularisation may not settle; `choose` judges it
        fitted = LogisticRegression(C=strength, solver="lbfgs", max_iter=ITERATIONS).fit(known_TD, labels_T)
    decided = fitted.decision_function(asked_QD)
    if decided.ndim == 1:  # two classes: one value, positive for the second
        decided = np.stack([-decided, decided], axis=1) / 2
    return np.asarray(decided, np.float64)
