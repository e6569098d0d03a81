"""Pools: the bundles of candidates that queries rank, in an order that carries no information."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.types import Query, TaskData


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
