"""Re-running: a random sample of a submission's questions asked again of the encoder that the maintainer names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.encoders import adapt
from benchmarks.evaluation import open_store
from benchmarks.quantise import shrinker
from benchmarks.ranked import Shrinker, Vectors
from benchmarks.session import Listener, Loaded, all_items, source_items, source_of
from benchmarks.stats import wilson
from benchmarks.types import Prediction, Query, TaskData, TaskSpec
from fuselip.core import seeds
from fuselip.core.embed import embed
from fuselip.core.errors import UserError
from fuselip.core.towers import JoinedEmbeddings, Separable
from leaderboard.answers import Book
from leaderboard.bundle import Bundle

TOLERANCE = {"fp32": 2e-4}
COARSE = 1e-2
"""How far a score may be from the listed one on other hardware and in other batches: in fp32 products of unit vectors
differ by some 1e-5, in 16 bits by some 1e-3. The precision that counts is that of the encoder here."""

NEAR = 0.1
"""Of the tolerance: two candidates this close may change places at the top."""

UNLISTED = 25
"""Candidates of a cut list that are encoded too, though they are not on it: they must not belong there."""

PASS = 0.9
"""Lower bound (Wilson, 95%) of the share of questions that agree, from which on a submission is called re-run."""


@dataclass(frozen=True)
class Rerun:
    """Of `questions` drawn, `agree` agree: all scores within `tolerance`, and the same candidate first but for a tie.

    `low`, `high`: Wilson's 95% interval of that share. `same_order`: questions with the very same listed order.
    `difference` names the first question that does not agree; `left_out` the tasks that cannot be asked so, and why.
    """

    questions: int
    agree: int
    low: float
    high: float
    same_order: int
    largest: float
    tolerance: float
    tasks: int
    seed: int
    difference: str
    left_out: Mapping[str, str]

    @property
    def passed(self) -> bool:
        return self.low >= PASS


def rerun(bundle: Bundle, encoder: Any, book: Book, n: int, *, seed: int, listener: Listener | None = None) -> Rerun:
    """Ask `n` questions of the bundle again, drawn by `seed`, from every task in proportion and at least one of each.

    `encoder` is the maintainer's, never one that the submission names. Only the drawn questions and their listed
    candidates (and UNLISTED others of a cut list) are encoded. Choose the seed after the bundle is handed in.
    Raises UserError where no task can be asked again, NoAnswers where the questions are not ours.
    """
    embedder = adapt(encoder)
    shrink = _shrinker(bundle.config)
    left_out: dict[str, str] = {}
    able = {}
    for name, files in sorted(bundle.tasks.items()):
        spec, data = book.data(name, files.claim.version, files.claim.data_hash)
        if spec.params.get("probe"):
            left_out[name] = "a linear probe needs all its training examples"
            continue
        able[name] = (spec, data, {row.query: row for row in files.predictions.variants["model"]})
    if not able:
        raise UserError("no task of this bundle can be asked again by a sample")
    counts = shares({name: len(rows) for name, (_, _, rows) in able.items()}, n)
    parts, listed = [], []
    for name, (spec, data, rows) in able.items():
        part, chosen = _sample(spec, data, rows, counts[name], seed)
        parts.append(part)
        listed.append(chosen)
    tolerance = TOLERANCE.get(embedder.info.precision, COARSE)
    with ExitStack() as stack:
        source, items = source_of(embedder), all_items(parts)
        store = stack.enter_context(open_store(source, None, False, stack))
        found = embed(source, source_items(embedder, items), store, (listener or Listener()).progress)
        if isinstance(embedder.encoder, Separable):
            found = JoinedEmbeddings.of(found, embedder.encoder)
        again = [Vectors(found, embedder, part, shrink).predictions()["model"] for part in parts]
    judged = [
        (part.spec.name, row, other, *judge(row, other, tolerance))
        for part, rows, others in zip(parts, listed, again, strict=True)
        for row, other in zip(rows, others, strict=True)
    ]
    wrong = [f"{name}, query {row.query!r}: {why}" for name, row, _, why, _ in judged if why]
    agree = len(judged) - len(wrong)
    return Rerun(
        len(judged),
        agree,
        *wilson(agree / len(judged), len(judged)),
        sum(
            [key for key, _ in row.top] == [key for key, _ in other.top][: len(row.top)]
            for _, row, other, _, _ in judged
        ),
        max(largest for *_, largest in judged),
        tolerance,
        len(parts),
        seed,
        wrong[0] if wrong else "",
        left_out,
    )


def _shrinker(config: Mapping[str, Any]) -> Shrinker | None:
    """What the run did to its vectors before it scored them (`quantise.Quantiser.record`); None where nothing."""
    scored_as = config.get("scored as")
    if not isinstance(scored_as, dict) or not scored_as:
        return None
    dim, kind = scored_as.get("dim"), scored_as.get("quantise") or "none"
    if kind == "int8":
        raise UserError("an int8 run is calibrated on all candidates and cannot be asked again by a sample")
    if type(dim) is not int:
        raise UserError("the bundle does not say how many numbers of its vectors were scored; pack a finished run")
    return shrinker(dim, None if kind == "none" else str(kind))


def shares(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    """How many of `n` questions each task gets: in proportion to its size, at least one, at most all it has."""
    total = sum(sizes.values())
    if n < 1:
        raise UserError(f"a sample has at least one question, not {n}")
    return {name: min(size, max(1, round(n * size / total))) for name, size in sizes.items()}


def _sample(
    spec: TaskSpec, data: TaskData, rows: Mapping[str, Prediction], count: int, seed: int
) -> tuple[Loaded, list[Prediction]]:
    """Some questions of a task with the candidates that are to be encoded, and what the bundle says of them."""
    generator = seeds.generator("rerun", seed, spec.name)
    order = sorted(range(len(data.queries)), key=lambda index: data.queries[index].key)
    picked = [data.queries[order[place]] for place in sorted(generator.permutation(len(order))[:count].tolist())]
    queries: list[Query] = []
    for query in picked:
        if query.key not in rows:
            raise UserError(f"{spec.name}: query {query.key!r} is not answered; verify the bundle before re-running it")
        keys = [key for key, _ in rows[query.key].top]
        if rows[query.key].truncated:
            keys += _unlisted(data, query, keys, generator)
        queries.append(replace(query, candidates=tuple(keys), exclude=frozenset(), relevance={}))
    candidates = {key: data.candidates[key] for query in queries for key in query.candidates or ()}
    part = replace(data, queries=tuple(queries), candidates=candidates, training=())
    return Loaded(spec, part, {"model": part.queries}), [rows[query.key] for query in queries]


def _unlisted(data: TaskData, query: Query, listed: Sequence[str], generator: np.random.Generator) -> list[str]:
    """Some candidates of the pool that look like none of those listed."""
    seen = {data.candidates[key].content for key in listed}
    others = [candidate for candidate in data.pool(query) if candidate.content not in seen]
    drawn = generator.permutation(len(others))[:UNLISTED].tolist()
    return list({others[place].content: others[place].key for place in drawn}.values())


def judge(listed: Prediction, again: Prediction, tolerance: float) -> tuple[str, float]:
    """(what does not agree, "" where all does; the largest difference of a score) of one question."""
    says, found = dict(listed.top), dict(again.top)
    lowest = min(found.values())
    differences = {key: abs(score - found.get(key, lowest)) for key, score in says.items()}
    worst = max(differences, key=lambda key: differences[key])
    if not differences[worst] <= tolerance:
        return f"says {says[worst]:.5f} of {worst!r}, computed {found.get(worst, lowest):.5f}", differences[worst]
    edge = min(says.values()) + tolerance
    intruder = next((key for key, score in again.top if key not in says and score > edge), None)
    if intruder is not None:
        return f"does not list {intruder!r}, which scores {found[intruder]:.5f}", differences[worst]
    first, best = listed.top[0][0], max(found.values())
    if found.get(first, lowest) < best - NEAR * tolerance and again.top[0][0] != first:
        return f"puts {first!r} first, computed {again.top[0][0]!r}", differences[worst]
    return "", differences[worst]
