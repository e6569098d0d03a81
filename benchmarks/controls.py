"""Controls: encoders that know nothing, a ranking that knows everything, and queries with a half removed or swapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks import blind, score
from benchmarks.types import Prediction, Query, TaskData
from fuselip.core import seeds

DIM = 512


def constant(data: TaskData, *, top: int = 100) -> list[Prediction]:
    """One random unit vector for everything: scores exactly chance, or the scoring has a leak."""
    contents = data_contents(data)
    vector = score.unit(seeds.generator("control", "constant").standard_normal((1, DIM)))
    queries, candidates = (np.broadcast_to(vector, (rows, DIM)) for rows in (len(data.queries), len(contents)))
    return score.rank(data.queries, data, queries, contents, candidates, top=top, encoder="the constant control")


def random(data: TaskData, *, seed: int = 0, top: int = 100) -> list[Prediction]:
    """A random vector per distinct content, drawn from its hash: what is in the data twice is the same twice."""
    contents = data_contents(data)
    queries = random_vectors(["query/" + query.input.key for query in data.queries], seed)
    candidates = random_vectors(["candidate/" + content for content in contents], seed)
    return score.rank(data.queries, data, queries, contents, candidates, top=top, encoder="the random control")


def random_vectors(keys: Sequence[str], seed: int) -> np.ndarray:
    """float32 [N, 512], row i a function of keys[i] and the seed alone."""
    vectors = np.empty((len(keys), DIM), dtype=np.float32)
    for row, key in enumerate(keys):
        vectors[row] = seeds.generator("control", "random", seed, key).standard_normal(DIM)
    return vectors


def oracle(data: TaskData, *, top: int = 100) -> list[Prediction]:
    """The best ranking there is: relevant bundles first, by gain. Below 100% where copies cannot be told apart."""
    found: dict[int, Prediction] = {}
    for pool, indices in score.shared_pools(data.queries, data):
        for index in indices:
            found[index] = score.predict(data.queries[index], pool, _best_scores(data.queries[index], pool), top=top)
    return [found[index] for index in range(len(data.queries))]


def _best_scores(query: Query, pool: score.Pool) -> np.ndarray:
    """float64 [bundles]: 0 for what is not relevant, else in steps well over the tie width, highest gain first."""
    scores = np.zeros(len(pool.contents))
    gains: dict[int, float] = {}
    for key, grade in query.relevance.items():
        if grade > 0 and key in pool.bundle_of:
            bundle = pool.bundle_of[key]
            left = sum(member not in query.exclude for member in pool.members[bundle])
            gains[bundle] = gains.get(bundle, 0) + 1 / max(1, left)
    order = sorted(gains, key=lambda bundle: (-gains[bundle], bundle))
    for place, bundle in enumerate(order):
        scores[bundle] = 1 - 0.5 * place / len(order)
    return scores


def predictions(data: TaskData) -> dict[str, list[Prediction]]:
    """The controls that need no encoder, by variant."""
    return {"constant": constant(data), "random": random(data), "oracle": oracle(data), **blind.predictions(data)}


def query_variants(data: TaskData, *, swap: bool = False) -> dict[str, Sequence[Query]]:
    """The queries an encoder answers, by variant: "model", and "image_only" and "text_only" where they apply.

    `swap` adds "swapped_image", where that applies.
    """
    variants: dict[str, Sequence[Query]] = {"model": data.queries}
    for variant, keep in (("image_only", "image"), ("text_only", "text")):
        queries = stripped(data.queries, keep)
        if queries is not None:
            variants[variant] = queries
    exchanged = swapped(data.queries) if swap else None
    return variants if exchanged is None else {**variants, "swapped_image": exchanged}


def stripped(queries: Sequence[Query], keep: str) -> tuple[Query, ...] | None:
    """The queries with only their "image" or only their "text"; None (n/a) where no query has both.

    In a mixed task the queries that have one modality stay as they are, so that the control's score and the model's
    are means over the same queries.
    """
    if keep not in ("image", "text"):
        raise ValueError(f"keep is 'image' or 'text', not {keep!r}")
    halves = [query.input.without_text() if keep == "image" else query.input.without_image() for query in queries]
    if all(half is None for half in halves):
        return None
    return tuple(
        query if half is None else replace(query, input=half) for query, half in zip(queries, halves, strict=True)
    )


def swapped(queries: Sequence[Query], *, seed: int = 0) -> tuple[Query, ...] | None:
    """Every query of both modalities with the image of another such query, of another source image.

    None (n/a) where no query has both, or all have one source. Other queries stay as they are, as in `stripped`. The
    images are dealt round by the size of the largest source, so that each is used once where none has over half.
    """
    source = {
        query.key: query.cluster or query.input.image.source or query.input.image.key
        for query in queries
        if query.input.image is not None and query.input.text
    }
    if len(set(source.values())) < 2:
        return None
    both = [query for query in queries if query.key in source]
    both.sort(key=lambda query: (seeds.derive("control", "swapped", seed, source[query.key]), query.key))
    step = max(Counter(source.values()).values())
    given = {}
    for place, query in enumerate(both):
        places = (both[(place + step + more) % len(both)] for more in range(len(both)))
        other = next(other for other in places if source[other.key] != source[query.key])
        given[query.key] = replace(query, input=replace(query.input, image=other.input.image))
    return tuple(given.get(query.key, query) for query in queries)


def data_contents(data: TaskData) -> list[str]:
    """The distinct contents of all candidates, sorted."""
    return sorted({candidate.content for candidate in data.candidates.values()})
