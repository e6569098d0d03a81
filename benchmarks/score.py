"""Scoring: vectors in, one Prediction per query out. The order of candidates means nothing, and ties stay ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import streaming
from benchmarks.pools import Pool as Pool
from benchmarks.pools import shared_pools as shared_pools
from benchmarks.streaming import tie_groups
from benchmarks.types import Prediction, Query, TargetRank, TaskData
from benchmarks.vectors import ROWS, TIE, checked
from benchmarks.vectors import check_vectors as check_vectors
from benchmarks.vectors import collapsed as collapsed
from benchmarks.vectors import pool_vectors as pool_vectors
from benchmarks.vectors import unit as unit
from fuselip.core.errors import UserError

BLOCK = 1 << 24
"""Scores held at a time: 64 MB of float32, whatever the number of queries."""

LARGE = 1 << 13
"""Pools of more bundles are streamed: neither copied nor sorted (see `benchmarks.streaming`)."""

FEW = 64
"""Up to so many scores, plain Python is faster than the first call into numpy."""


def rank(
    queries: Sequence[Query],
    data: TaskData,
    query_vectors: Any,
    contents: Sequence[str],
    content_vectors: Any,
    *,
    top: int = 100,
    encoder: str = "the encoder",
    block: int = BLOCK,
    large: int = LARGE,
) -> list[Prediction]:
    """One Prediction per query, in order. `query_vectors` [Q, D]; `content_vectors` [G, D] belong to `contents`.

    `content_vectors` may be of any real kind and lie on disk (np.memmap): it is read in blocks. Memory beside the
    vectors: `block` scores, and normalised copies of `large` candidates. All scores of a query come from one product,
    or from its blocks, so a target is compared with candidates that were rounded alike.
    Raises UserError for vectors that are not finite or of the wrong shape; ValueError, naming the query, for an empty
    pool, an answer outside the pool, or a query key used twice.
    """
    queries_QD = unit(check_vectors(query_vectors, [query.key for query in queries], encoder))
    contents_GD = checked(content_vectors, contents, encoder)
    if len(queries) and len(contents) and queries_QD.shape[1] != contents_GD.shape[1]:
        raise UserError(
            f"{encoder} returned vectors of {queries_QD.shape[1]} numbers for queries "
            f"and of {contents_GD.shape[1]} for candidates; they must be of one size"
        )
    if len(set(contents)) != len(contents):
        raise ValueError("a content is listed twice among the candidate vectors")
    pools = shared_pools(queries, data)
    rows_of = _rows(pools, contents, queries)
    predictions: dict[int, Prediction] = {}
    small = []
    for (pool, indices), rows in zip(pools, rows_of, strict=True):
        if len(pool.contents) <= large:
            small.append((pool, indices, rows))
            continue
        asked = [Asked.of(queries[index], pool) for index in indices]
        found = _streamed(queries_QD[indices], contents_GD, rows, asked, top)
        predictions |= zip(indices, found, strict=True)
    for pool, indices, pool_BD in _copied(small, contents_GD):
        step = max(1, block // max(1, len(pool.contents)))
        for start in range(0, len(indices), step):
            chunk = indices[start : start + step]
            scores = (queries_QD[chunk] @ pool_BD.T).astype(np.float64)
            for index, row in zip(chunk, scores, strict=True):
                predictions[index] = predict(queries[index], pool, row, top=top)
    return [predictions[index] for index in range(len(queries))]


def _rows(
    pools: Sequence[tuple[Pool, list[int]]], contents: Sequence[str], queries: Sequence[Query]
) -> list[np.ndarray | None]:
    """The rows of each pool's vectors; None where they are all rows in their order."""
    listed = tuple(contents)
    row_of: dict[str, int] = {}
    found: list[np.ndarray | None] = []
    for pool, indices in pools:
        if pool.contents == listed:
            found.append(None)
            continue
        row_of = row_of or {content: row for row, content in enumerate(contents)}
        try:
            found.append(np.array([row_of[content] for content in pool.contents], np.int64))
        except KeyError as error:
            key = queries[indices[0]].key
            raise ValueError(f"query {key!r} ranks content {error.args[0]}, of which no vector was given") from None
    return found


def _copied(
    pools: Sequence[tuple[Pool, list[int], np.ndarray | None]], contents_GD: Any
) -> Iterator[tuple[Pool, list[int], np.ndarray]]:
    """Small pools with their unit vectors: so many pools at a time as have some `ROWS` candidates together."""
    start = 0
    while start < len(pools):
        stop, count = start, 0
        while stop < len(pools) and (stop == start or count + len(pools[stop][0].contents) <= ROWS):
            count += len(pools[stop][0].contents)
            stop += 1
        rows = [np.arange(len(pool.contents)) if rows is None else rows for pool, _, rows in pools[start:stop]]
        units, first = unit(_take(contents_GD, np.concatenate(rows))), 0
        for pool, indices, _ in pools[start:stop]:
            yield pool, indices, units[first : first + len(pool.contents)]
            first += len(pool.contents)
        start = stop


def _take(vectors: Any, rows: np.ndarray) -> np.ndarray:
    """The rows of an array, in memory or on disk (where only rising, distinct rows may be asked for)."""
    if isinstance(vectors, np.ndarray):
        return vectors[rows]
    distinct, back = np.unique(rows, return_inverse=True)
    return np.asarray(vectors[distinct])[back]


def _streamed(
    queries_QD: np.ndarray, contents_GD: Any, rows: np.ndarray | None, asked: Sequence[Asked], top: int
) -> list[Prediction]:
    def read(which: np.ndarray | slice) -> np.ndarray:
        if rows is not None:
            return unit(_take(contents_GD, rows[which]))
        return unit(contents_GD[which] if isinstance(which, slice) else _take(contents_GD, which))

    size = len(asked[0].pool.contents)
    wanted = [streaming.Wanted(sorted(each.gains), each.emptied) for each in asked]
    predictions = []
    for each, found in zip(asked, streaming.stream(queries_QD, read, size, wanted, top), strict=True):
        best = _best(found.scores, min(top, each.size))
        predictions.append(each.answered(found.places, [(int(found.best[at]), float(found.scores[at])) for at in best]))
    return predictions


@dataclass(frozen=True)
class Asked:
    """A query and the pool it ranks: `emptied` bundles do not take part, `size` do; `gains` are of the relevant ones.

    `gone` counts the excluded members of a bundle.
    """

    query: Query
    pool: Pool
    gone: Mapping[int, int]
    emptied: list[int]
    size: int
    gains: Mapping[int, float]

    @classmethod
    def of(cls, query: Query, pool: Pool) -> Asked:
        """Raises ValueError, naming the query, for an empty pool and for an answer outside it."""
        bundle_of, members = pool.bundle_of, pool.members
        gone: Mapping[int, int] = {}
        if query.exclude:
            gone = Counter(bundle_of[key] for key in query.exclude if key in bundle_of)
        emptied = [bundle for bundle, times in gone.items() if times == len(members[bundle])]
        size = len(members) - len(emptied)
        if size == 0:
            raise ValueError(f"query {query.key!r} has an empty pool: no candidate is left to rank")
        relevant: dict[int, int] = {}
        for key, grade in query.relevance.items():
            if key not in bundle_of or key in query.exclude:
                raise ValueError(f"query {query.key!r}: its answer {key!r} is not among the candidates it ranks")
            if grade > 0:
                relevant[bundle_of[key]] = relevant.get(bundle_of[key], 0) + 1
        gains = {bundle: count / (len(members[bundle]) - gone.get(bundle, 0)) for bundle, count in relevant.items()}
        return cls(query, pool, gone, emptied, size, gains)

    def _name(self, bundle: int) -> str:
        members = self.pool.members[bundle]
        return members[0] if not self.gone else next(key for key in members if key not in self.query.exclude)

    def answered(self, places: Sequence[tuple[int, int, int]], best: Sequence[tuple[int, float]]) -> Prediction:
        """From (bundle, above, tied) of the relevant bundles and (bundle, score) of the best ones, best first."""
        query, gains = self.query, self.gains
        return Prediction(
            query=query.key,
            cluster=query.cluster,
            group=query.group,
            tags=query.tags,
            pool=self.size,
            targets=tuple(
                [TargetRank(self._name(bundle), above, tied, gains[bundle]) for bundle, above, tied in places]
            ),
            top=tuple([(self._name(bundle), score) for bundle, score in best]),
            truncated=len(best) < self.size,
        )


def predict(query: Query, pool: Pool, scores: np.ndarray, *, top: int = 100) -> Prediction:
    """The Prediction that follows from the scores, float64 [bundles of the pool]. Raises ValueError as `rank` does."""
    assert top >= 1
    asked = Asked.of(query, pool)
    if asked.emptied:
        scores = scores.copy()
        scores[asked.emptied] = -np.inf
    keep = min(top, asked.size)
    if len(scores) <= FEW:
        plain: list[float] = scores.tolist()
        groups = tie_groups([(bundle, plain[bundle]) for bundle in asked.gains])
        places = [
            (bundle, above, sum([score >= lower for score in plain]) - above - 1)
            for bundles, upper, lower in groups
            for above in [sum([score > upper for score in plain])]
            for bundle in bundles
        ]
        order = sorted(range(len(plain)), key=lambda bundle: -plain[bundle])
        best = _ties_by_index(order, [plain[bundle] for bundle in order], keep)
        return asked.answered(places, [(bundle, plain[bundle]) for bundle in best])
    places = []
    for bundles, upper, lower in tie_groups([(bundle, float(scores[bundle])) for bundle in asked.gains]):
        above = int(np.count_nonzero(scores > upper))
        tied = int(np.count_nonzero(scores >= lower)) - above - 1
        places += [(bundle, above, tied) for bundle in bundles]
    return asked.answered(places, [(bundle, float(scores[bundle])) for bundle in _best(scores, keep)])


def _best(scores: np.ndarray, keep: int) -> list[int]:
    """The `keep` best bundles: by score, and within the tie width by index, that is by content hash."""
    last = np.partition(scores, len(scores) - keep)[len(scores) - keep]
    found = np.flatnonzero(scores >= last - TIE)
    if len(found) > 4 * keep:  # a great tie, as an encoder that cannot tell gives: no need to sort all of it
        equal = scores[found] == last
        clear = found[~equal]
        if not np.any(np.abs(scores[clear] - last) <= 2 * TIE):
            clear = clear[np.argsort(-scores[clear], kind="stable")]
            ahead = _ties_by_index(clear.tolist(), scores[clear].tolist(), len(clear))
            return [*ahead, *found[equal][: keep - len(clear)].tolist()]
    found = found[np.argsort(-scores[found], kind="stable")]
    return _ties_by_index(found.tolist(), scores[found].tolist(), keep)


def _ties_by_index(order: list[int], falling: list[float], keep: int) -> list[int]:
    """The first `keep` of `order`, in which each best score left draws its tie group, sorted, around itself."""
    best: list[int] = []
    while len(best) < keep:
        start = len(best)
        lower, end = falling[start] - TIE, start + 1
        while end < len(falling) and falling[end] >= lower:
            end += 1
        best += sorted(order[start:end]) if end > start + 1 else (order[start],)
    return best[:keep]
