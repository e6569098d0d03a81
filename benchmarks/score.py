"""Scoring: vectors in, one Prediction per query out. The order of candidates means nothing, and ties stay ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.types import Prediction, Query, TargetRank, TaskData
from fuselip.core.errors import UserError

TIE = 1e-6
"""Scores of unit vectors this close are tied: float32 products of one vector differ by less between machines."""

BLOCK = 1 << 24
"""Scores held at a time: 64 MB of float32, whatever the size of the gallery."""

ROWS = 4096
"""Rows checked or normalised at a time, so that temporary arrays stay small beside the vectors."""


def check_vectors(vectors: Any, keys: Sequence[str], encoder: str) -> np.ndarray:
    """What an encoder returned for the inputs named by `keys`, as float32 [N, D].

    Raises UserError, naming the encoder and the input at fault, for NaN or infinity, and for what is no real [N, D].
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[0] != len(keys) or (len(keys) and array.shape[1] == 0):
        raise UserError(
            f"{encoder} returned an array of shape {array.shape} for {len(keys)} inputs; "
            f"encode() must return one row per input, [{len(keys)}, D]"
        )
    if array.dtype.kind not in "fiu":
        raise UserError(f"{encoder} returned {array.dtype} values; encode() must return real numbers (float32)")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity and is named below
        array = array.astype(np.float32, copy=False)
    for start in range(0, len(array), ROWS):
        bad = ~np.isfinite(array[start : start + ROWS]).all(axis=1)
        if bad.any():
            raise UserError(
                f"{encoder} returned NaN or infinity for input {keys[start + int(bad.argmax())]!r}; "
                "every number of a vector must be finite (overflow in half precision is the usual cause)"
            )
    return array


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32 copy of [N, D] with rows of length 1. A zero row has no direction and stays zero: it scores 0."""
    out = np.array(vectors, dtype=np.float32)
    for start in range(0, len(out), ROWS):
        rows = out[start : start + ROWS]
        rows /= _or_one(np.abs(rows).max(axis=1))  # so that squares neither overflow nor vanish
        rows /= _or_one(np.linalg.norm(rows, axis=1))
    return out


def _or_one(lengths_N: np.ndarray) -> np.ndarray:
    return np.where(lengths_N > 0, lengths_N, 1)[:, None]


def pool_vectors(groups: Sequence[np.ndarray]) -> np.ndarray:
    """One vector per candidate, float32 [G, D], from the vectors [inputs, D] of each: normalise, mean, normalise.

    Rows that cancel leave no direction: a zero vector (see `unit`). A candidate without inputs is a ValueError.
    """
    if not groups:
        return np.zeros((0, 0), np.float32)
    if any(len(rows) == 0 for rows in groups):
        raise ValueError("a candidate without inputs has no vector")
    pooled = np.empty((len(groups), groups[0].shape[1]), np.float32)
    for row, vectors in enumerate(groups):
        # One input needs no mean, and is normalised with all the others below.
        pooled[row] = vectors[0] if len(vectors) == 1 else _mean(unit(vectors))
    return unit(pooled)


def _mean(units: np.ndarray) -> np.ndarray:
    mean = units.mean(axis=0)
    return mean if np.linalg.norm(mean) > TIE else np.zeros_like(mean)  # what rounding leaves of opposite rows


def collapsed(vectors: np.ndarray) -> bool:
    """Whether several vectors [N, D] all point the same way, so that no two scores could differ by more than a tie."""
    if len(vectors) < 2:
        return False
    first = unit(vectors[:1])
    starts = range(0, len(vectors), ROWS)
    return all(bool((np.linalg.norm(unit(vectors[s : s + ROWS]) - first, axis=1) <= TIE).all()) for s in starts)


@dataclass(frozen=True)
class Pool:
    """The bundles that some queries rank: distinct contents in hash order, which carries no information.

    `members[i]` are the sorted keys of the candidates that share `contents[i]`; `bundle_of` maps a key to its i.
    """

    contents: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    bundle_of: Mapping[str, int]

    @classmethod
    def of(cls, query: Query, data: TaskData) -> Pool:
        keys = tuple(data.candidates) if query.candidates is None else query.candidates
        unknown = next((key for key in keys if key not in data.candidates), None)
        if unknown is not None:
            raise ValueError(f"query {query.key!r} ranks candidate {unknown!r}, which the task does not have")
        if len(set(keys)) != len(keys):
            raise ValueError(f"query {query.key!r} lists a candidate twice")
        bundles: dict[str, list[str]] = {}
        for key in keys:
            bundles.setdefault(data.candidates[key].content, []).append(key)
        contents = tuple(sorted(bundles))
        members = tuple(tuple(sorted(bundles[content])) for content in contents)
        return cls(contents, members, {key: index for index, bundle in enumerate(members) for key in bundle})


def shared_pools(queries: Sequence[Query], data: TaskData) -> list[tuple[Pool, list[int]]]:
    """Every distinct pool with the indices of the queries that rank it: one matrix product serves them all.

    Raises ValueError for a query key that is used twice, an unknown candidate, or one that a query lists twice.
    """
    twice = [key for key, times in Counter(query.key for query in queries).items() if times > 1]
    if twice:
        raise ValueError(f"query key {twice[0]!r} is used {Counter(q.key for q in queries)[twice[0]]} times")
    grouped: dict[tuple[str, ...] | None, list[int]] = {}
    for index, query in enumerate(queries):
        pool_key = None if query.candidates is None else tuple(sorted(query.candidates))
        grouped.setdefault(pool_key, []).append(index)
    return [(Pool.of(queries[indices[0]], data), indices) for indices in grouped.values()]


def rank(
    queries: Sequence[Query],
    data: TaskData,
    query_vectors: np.ndarray,
    contents: Sequence[str],
    content_vectors: np.ndarray,
    *,
    top: int = 100,
    encoder: str = "the encoder",
    block: int = BLOCK,
) -> list[Prediction]:
    """One Prediction per query, in order. `query_vectors` [Q, D]; `content_vectors` [G, D] belong to `contents`.

    Memory beside the vectors: one normalised copy of the pool at hand and `block` scores. All scores of a query come
    from one product, so a target is compared with candidates that were rounded alike.
    Raises UserError for vectors that are not finite or of the wrong shape; ValueError, naming the query, for an empty
    pool, an answer outside the pool, or a query key used twice.
    """
    queries_QD = unit(check_vectors(query_vectors, [query.key for query in queries], encoder))
    contents_GD = check_vectors(content_vectors, contents, encoder)
    if len(queries) and len(contents) and queries_QD.shape[1] != contents_GD.shape[1]:
        raise UserError(
            f"{encoder} returned vectors of {queries_QD.shape[1]} numbers for queries "
            f"and of {contents_GD.shape[1]} for candidates; they must be of one size"
        )
    row_of = {content: row for row, content in enumerate(contents)}
    if len(row_of) != len(contents):
        raise ValueError("a content is listed twice among the candidate vectors")
    predictions: dict[int, Prediction] = {}
    for pool, indices in shared_pools(queries, data):
        pool_BD = unit(contents_GD[[_row(row_of, content, queries[indices[0]]) for content in pool.contents]])
        step = max(1, block // max(1, len(pool.contents)))
        for start in range(0, len(indices), step):
            chunk = indices[start : start + step]
            scores = queries_QD[chunk] @ pool_BD.T
            for index, row in zip(chunk, scores, strict=True):
                predictions[index] = predict(queries[index], pool, row.astype(np.float64), top=top)
    return [predictions[index] for index in range(len(queries))]


def _row(row_of: Mapping[str, int], content: str, query: Query) -> int:
    if content not in row_of:
        raise ValueError(f"query {query.key!r} ranks content {content}, of which no vector was given")
    return row_of[content]


def predict(query: Query, pool: Pool, scores: np.ndarray, *, top: int = 100) -> Prediction:
    """The Prediction that follows from the scores, float64 [bundles of the pool]. Raises ValueError as `rank` does."""
    assert top >= 1
    gone = Counter(pool.bundle_of[key] for key in query.exclude if key in pool.bundle_of)
    emptied = [bundle for bundle, times in gone.items() if times == len(pool.members[bundle])]
    size = len(pool.members) - len(emptied)
    if size == 0:
        raise ValueError(f"query {query.key!r} has an empty pool: no candidate is left to rank")
    if emptied:
        scores = scores.copy()
        scores[emptied] = -np.inf

    def name(bundle: int) -> str:
        return next(key for key in pool.members[bundle] if key not in query.exclude)

    relevant: Counter[int] = Counter()
    for key, grade in query.relevance.items():
        if key not in pool.bundle_of or key in query.exclude:
            raise ValueError(f"query {query.key!r}: its answer {key!r} is not among the candidates it ranks")
        if grade > 0:
            relevant[pool.bundle_of[key]] += 1
    gains = {bundle: count / (len(pool.members[bundle]) - gone[bundle]) for bundle, count in relevant.items()}
    targets = tuple(
        TargetRank(name(bundle), above, tied, gains[bundle]) for bundle, above, tied in _places(sorted(gains), scores)
    )
    best = _best(scores, min(top, size))
    return Prediction(
        query=query.key,
        cluster=query.cluster,
        group=query.group,
        tags=query.tags,
        pool=size,
        targets=targets,
        top=tuple((name(bundle), float(scores[bundle])) for bundle in best),
        truncated=len(best) < size,
    )


def _places(bundles: list[int], scores: np.ndarray) -> list[tuple[int, int, int]]:
    """(bundle, above, tied) of the relevant bundles, best first.

    "Within the tie width" is not transitive, a total order of ties is: so the best target draws its tie group around
    itself, lower targets inside it share its counts, and the next target outside draws a group of what is left.
    """
    places: list[tuple[int, int, int]] = []
    anchor, ceiling, above, tied = np.inf, np.inf, 0, 0
    for bundle in sorted(bundles, key=lambda bundle: (-scores[bundle], bundle)):
        if scores[bundle] < anchor - TIE:
            ceiling = np.nextafter(anchor - TIE, -np.inf)
            anchor = scores[bundle]
            above = int(np.count_nonzero(scores > min(anchor + TIE, ceiling)))
            tied = int(np.count_nonzero(scores >= anchor - TIE)) - above - 1
        places.append((bundle, above, tied))
    return places


def _best(scores: np.ndarray, keep: int) -> list[int]:
    """The `keep` best bundles: by score, and within the tie width by index, that is by content hash."""
    threshold = np.partition(scores, len(scores) - keep)[len(scores) - keep] - TIE
    found = np.flatnonzero(scores >= threshold)
    found = found[np.argsort(-scores[found], kind="stable")]
    falling = -scores[found]
    best: list[int] = []
    while len(best) < keep:
        end = int(np.searchsorted(falling, falling[len(best)] + TIE, side="right"))
        best.extend(np.sort(found[len(best) : end]).tolist())
    return best[:keep]
