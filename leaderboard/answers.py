"""Answers: the pools and right bundles of every query, from the leaderboard's own copy of a task, kept on disk."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from benchmarks import controls, score
from benchmarks import tasks as registry
from benchmarks.group_metrics import MOST_CELLS
from benchmarks.metrics import METRICS, GroupMetric
from benchmarks.results import Numbers, numbers
from benchmarks.types import Prediction, Query, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.files import write_bytes
from fuselip.core.types import Scalar, content_hash
from leaderboard.types import Answer, AnswerSheet

SCHEMA = 1
_DIGEST = 32

Key = tuple[str, int, str]
"""A task's name, version and data hash."""


class NoAnswers(UserError):
    """The leaderboard has no answers for such a task, version and data; the message says why."""


@dataclass(frozen=True)
class Known:
    """What the leaderboard knows of a task beside its sheet.

    `baselines`: predictions of what needs no encoder (constant, random, oracle, and the blind ones that apply), with
    `top` kept only where the metric reads it. `variants`: what a run of the task holds of the encoder ("model",
    "image_only", "text_only"). `probe`: scores are decision values, neither cosines nor float32. `source`: pictures.
    """

    sheet: AnswerSheet
    baselines: Mapping[str, Sequence[Prediction]]
    variants: tuple[str, ...]
    probe: bool
    source: str

    def without_encoder(self) -> Numbers:
        """What is told of the task where nothing but baselines ranked it: its audit never says "needs fusion: true"."""
        found = {"model": self.baselines["oracle"], **self.baselines}
        return numbers(self.sheet.metric, found, self.sheet.task, ())


class _Row(msgspec.Struct, array_like=True):
    """`changes` to the shared pool number `pool`, by position: a bundle's other name, "" for one that is left out."""

    query: str
    pool: int
    changes: dict[int, str]
    gains: dict[str, float]
    cluster: str
    group: str
    tags: dict[str, Scalar]


class _Stored(msgspec.Struct, array_like=True):
    schema: int
    task: str
    version: int
    data_hash: str
    metric: str
    also: tuple[str, ...]
    variants: tuple[str, ...]
    probe: bool
    source: str
    pools: list[tuple[str, ...]]
    rows: list[_Row]
    baselines: dict[str, list[Prediction]]


class Book:
    """Answer sheets by task, version and data hash: built once through benchmarks' own loading, then read from disk.

    `data` is the folder of the public sets; tasks whose data comes with the program need none. Sheets stay in memory.
    """

    def __init__(self, cache_dir: Path, data: Path | None = None) -> None:
        self.cache_dir, self.data_folder = cache_dir, data
        self._held: dict[Key, Known] = {}
        self._seen: dict[tuple[str, str], str] = {}  # data hash by task and source, so that a miss costs once

    def get(self, name: str, version: int, data_hash: str) -> AnswerSheet:
        """Raises NoAnswers where there is no such task here, or its questions are others."""
        return self.known(name, version, data_hash).sheet

    def known(self, name: str, version: int, data_hash: str) -> Known:
        """As `get`, with the baselines."""
        key = (name, version, data_hash)
        if key not in self._held:
            self._held[key] = self._read(key) or self._build(key)
        return self._held[key]

    def data(self, name: str, version: int, data_hash: str) -> tuple[TaskSpec, TaskData]:
        """The questions themselves, to ask them again. Raises NoAnswers as `get` does."""
        return next(iter(self._matching((name, version, data_hash))))[:2]

    def _path(self, key: Key) -> Path:
        return self.cache_dir / f"{content_hash([SCHEMA, *key])}.sheet"  # names from a submission are no file names

    def _read(self, key: Key) -> Known | None:
        """None where there is none yet, or it is damaged: it is built again then."""
        try:
            held = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        digest, packed = held[:_DIGEST], held[_DIGEST:]
        if hashlib.sha256(packed).digest() != digest:
            return None
        stored = msgspec.msgpack.decode(zlib.decompress(packed), type=_Stored)
        assert (stored.task, stored.version, stored.data_hash) == key
        return _known(stored)

    def _build(self, key: Key) -> Known:
        spec, data, source = next(iter(self._matching(key)))
        stored = _stored(spec, data, source)
        packed = zlib.compress(msgspec.msgpack.encode(stored))
        write_bytes(self._path(key), hashlib.sha256(packed).digest() + packed)
        return _known(stored)

    def _matching(self, key: Key) -> Iterator[tuple[TaskSpec, TaskData, str]]:
        """The task's questions on the pictures that give this data hash; NoAnswers instead of an end."""
        name, version, data_hash = key
        try:
            spec = registry.task(name)
        except UserError as error:
            raise NoAnswers(f"the leaderboard has no task {name!r}") from error
        if spec.version != version:
            raise NoAnswers(f"the leaderboard asks version {spec.version} of {name}, not version {version}")
        for source in _sources(spec):
            if self._seen.get((name, source), data_hash) != data_hash:
                continue
            try:
                data = registry.load_task(spec, TaskContext(source=source, data=self.data_folder, offline=True))
            except UserError as error:
                raise NoAnswers(f"the leaderboard cannot read its own data of {name}: {error}") from error
            self._seen[name, source] = data.data_hash
            if data.data_hash != data_hash:
                continue
            if not any(query.relevance for query in data.queries):
                raise NoAnswers(f"the publisher's server holds the answers of {name}")
            yield spec, data, source
        raise NoAnswers(f"the leaderboard asks other questions in {name}: none of its data has hash {data_hash[:12]}")


def sheet(task: str, data: Path | None = None, source: str | None = None) -> AnswerSheet:
    """The sheet of a task as it is here, built anew. Raises UserError where there is no such task or no data."""
    spec = registry.task(task)
    source = source or _sources(spec)[0]
    found = registry.load_task(spec, TaskContext(source=source, data=data, offline=True))
    return known_of(spec, found, source).sheet


def known_of(spec: TaskSpec, data: TaskData, source: str = "") -> Known:
    """What a Book would hold of these questions."""
    return _known(_stored(spec, data, source))


def _sources(spec: TaskSpec) -> list[str]:
    """Where the suites take the pictures of a task from; they matter to tasks that read no files of their own."""
    found = [suite.source for suite in registry.SUITES.values() if spec.name in registry.match(suite.tasks)]
    return list(dict.fromkeys([*found, registry.DEFAULT_SOURCE]))[: 1 if spec.files else None]


def _stored(spec: TaskSpec, data: TaskData, source: str) -> _Stored:
    pools, rows = [], []
    for number, (pool, indices) in enumerate(score.shared_pools(data.queries, data)):
        pools.append(tuple(members[0] for members in pool.members))
        rows += [_row(data.queries[index], pool, number) for index in indices]
    main = METRICS[spec.metric]
    baselines = {
        variant: [
            row if isinstance(main, GroupMetric) and row.pool <= MOST_CELLS else replace(row, top=()) for row in rows
        ]
        for variant, rows in controls.predictions(data).items()
    }
    return _Stored(
        SCHEMA,
        spec.name,
        spec.version,
        data.data_hash,
        spec.metric,
        spec.also,
        tuple(controls.query_variants(data)),
        bool(spec.params.get("probe")),
        source,
        pools,
        sorted(rows, key=lambda row: row.query),
        baselines,
    )


def _row(query: Query, pool: score.Pool, number: int) -> _Row:
    asked = score.Asked.of(query, pool)
    changes = {
        bundle: next((key for key in pool.members[bundle] if key not in query.exclude), "") for bundle in asked.gone
    }
    gains = {changes.get(bundle) or pool.members[bundle][0]: gain for bundle, gain in asked.gains.items()}
    return _Row(query.key, number, changes, gains, query.cluster, query.group, dict(query.tags))


def _known(stored: _Stored) -> Known:
    answers = {
        row.query: Answer(
            row.query, _pool(stored.pools[row.pool], row.changes), row.gains, row.cluster, row.group, row.tags
        )
        for row in stored.rows
    }
    found = AnswerSheet(stored.task, stored.version, stored.data_hash, stored.metric, stored.also, answers)
    return Known(found, stored.baselines, stored.variants, stored.probe, stored.source)


def _pool(shared: tuple[str, ...], changes: Mapping[int, str]) -> tuple[str, ...]:
    """Names of the bundles in the order of their contents' hashes, in which ties are listed."""
    if not changes:
        return shared
    return tuple(name for name in (changes.get(place, name) for place, name in enumerate(shared)) if name)
