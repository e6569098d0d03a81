"""Small tasks and predictions that the tests of scoring share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations

import numpy as np

from benchmarks.score import TIE
from benchmarks.types import Candidate, Prediction, Query, TargetRank, TaskData
from fuselip.core.types import Input


def candidates(texts: Mapping[str, str]) -> dict[str, Candidate]:
    """{key: text}; equal texts are equal contents."""
    return {key: Candidate(key, (Input(text=text),)) for key, text in texts.items()}


def data_of(texts: Mapping[str, str], *queries: Query) -> TaskData:
    return TaskData(tuple(queries), candidates(texts))


def ask(key: str, relevance: Mapping[str, float], pool: Sequence[str] | None = None, **more: object) -> Query:
    return Query(key, Input(text=f"question {key}"), relevance, None if pool is None else tuple(pool), **more)  # type: ignore[arg-type]


def plane(scores: Mapping[str, float]) -> np.ndarray:
    """Unit vectors [N, 2] whose product with (1, 0) is the score."""
    values = np.array(list(scores.values()), dtype=np.float64)
    return np.stack([values, np.sqrt(1 - values**2)], axis=1).astype(np.float32)


def vectors_for(data: TaskData, scores: Mapping[str, float]) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Query vectors, contents and content vectors that give every query these scores {candidate key: score}."""
    of_content = {data.candidates[key].content: value for key, value in scores.items()}
    queries = np.tile(np.array([[1.0, 0.0]], np.float32), (len(data.queries), 1))
    return queries, list(of_content), plane(of_content)


def prediction(pool: int, *targets: tuple[int, int, float], **more: object) -> Prediction:
    """From (above, tied, gain) of each target; the other fields do not matter to a metric."""
    ranks = tuple(TargetRank(f"t{number}", *target) for number, target in enumerate(targets))
    fields: dict[str, object] = {"query": "q", "cluster": "", "group": "", "tags": {}, "top": (("t0", 0.5),)} | more
    return Prediction(pool=pool, targets=ranks, **fields)  # type: ignore[arg-type]


def orders(scores: Sequence[float]) -> list[tuple[int, ...]]:
    """Every total order (best first) of bundles whose scores are equal or further apart than the tie width."""
    return [
        order
        for order in permutations(range(len(scores)))
        if all(scores[first] >= scores[second] - TIE for first, second in pairwise(order))
    ]
