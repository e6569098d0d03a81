"""Ranking written plainly, one query after the other: what the fast code must equal. And galleries to rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scoring_cases import ask, data_of

from benchmarks.score import TIE, Pool, unit
from benchmarks.types import Prediction, Query, TargetRank, TaskData


def rank(
    queries: Sequence[Query],
    data: TaskData,
    query_vectors: np.ndarray,
    contents: Sequence[str],
    content_vectors: np.ndarray,
    top: int = 100,
) -> list[Prediction]:
    asked, row_of = unit(query_vectors), {content: row for row, content in enumerate(contents)}
    found = []
    for query, vector in zip(queries, asked, strict=True):
        pool = Pool.of(query, data)
        scores = vector @ unit(content_vectors[[row_of[content] for content in pool.contents]]).T
        found.append(predict(query, pool, scores.astype(np.float64), top))
    return found


def predict(query: Query, pool: Pool, scores: np.ndarray, top: int = 100) -> Prediction:
    gone = Counter(pool.bundle_of[key] for key in query.exclude if key in pool.bundle_of)
    emptied = [bundle for bundle, times in gone.items() if times == len(pool.members[bundle])]
    size = len(pool.members) - len(emptied)
    scores = scores.copy()
    scores[emptied] = -np.inf

    def name(bundle: int) -> str:
        return next(key for key in pool.members[bundle] if key not in query.exclude)

    relevant = Counter(pool.bundle_of[key] for key, grade in query.relevance.items() if grade > 0)
    gains = {bundle: count / (len(pool.members[bundle]) - gone[bundle]) for bundle, count in relevant.items()}
    targets = tuple(
        TargetRank(name(bundle), above, tied, gains[bundle]) for bundle, above, tied in places(sorted(gains), scores)
    )
    first = best(scores, min(top, size))
    return Prediction(
        query=query.key,
        cluster=query.cluster,
        group=query.group,
        tags=query.tags,
        pool=size,
        targets=targets,
        top=tuple((name(bundle), float(scores[bundle])) for bundle in first),
        truncated=len(first) < size,
    )


def places(bundles: list[int], scores: np.ndarray) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    anchor, ceiling, above, tied = np.inf, np.inf, 0, 0
    for bundle in sorted(bundles, key=lambda bundle: (-scores[bundle], bundle)):
        if scores[bundle] < anchor - TIE:
            ceiling = np.nextafter(anchor - TIE, -np.inf)
            anchor = scores[bundle]
            above = int(np.count_nonzero(scores > min(anchor + TIE, ceiling)))
            tied = int(np.count_nonzero(scores >= anchor - TIE)) - above - 1
        found.append((bundle, above, tied))
    return found


def best(scores: np.ndarray, keep: int) -> list[int]:
    left = [bundle for bundle in np.argsort(-scores, kind="stable").tolist() if scores[bundle] > -np.inf]
    found: list[int] = []
    while len(found) < keep:
        group = sorted(bundle for bundle in left if scores[bundle] >= scores[left[0]] - TIE)
        found += group
        left = [bundle for bundle in left if bundle not in set(group)]
    return found[:keep]


def ranks(found: Prediction) -> list[tuple[str, int, int, float]]:
    return [(target.key, target.above, target.tied, target.gain) for target in found.targets]


def gallery(num_queries: int, num_candidates: int, dim: int) -> tuple[TaskData, np.ndarray, list[str], np.ndarray]:
    texts = {f"c{index}": f"text {index}" for index in range(num_candidates)}
    queries = [ask(f"q{index}", {f"c{index % num_candidates}": 1}) for index in range(num_queries)]
    data = data_of(texts, *queries)
    numbers = np.random.default_rng(0)
    contents = [candidate.content for candidate in data.candidates.values()]
    return data, numbers.standard_normal((num_queries, dim)), contents, numbers.standard_normal((num_candidates, dim))
