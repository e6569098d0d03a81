"""The types of evaluation: a Query ranks Candidates, a Prediction is kept of it, a Result is told of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fuselip.core.encoder import Role
from fuselip.core.types import Input, Scalar, content_hash


@dataclass(frozen=True)
class Candidate:
    """One possible answer. Several inputs (80 prompts of a class) are pooled by normalise, mean, normalise."""

    key: str
    inputs: tuple[Input, ...]

    @cached_property
    def content(self) -> str:
        """Hash of what is embedded; candidates that share it cannot be told apart and form one bundle."""
        return content_hash(sorted(item.key for item in self.inputs))


@dataclass(frozen=True)
class Query:
    """One question. Answers are named by candidate key; the order of candidates means nothing.

    `candidates` None means the task's whole gallery. `relevance` may be empty (answers held by a server).
    `cluster` is the source image, the unit that intervals resample. `tags` feed the skill curves.
    """

    key: str
    input: Input
    relevance: Mapping[str, float]
    candidates: tuple[str, ...] | None = None
    exclude: frozenset[str] = frozenset()
    group: str = ""
    cluster: str = ""
    tags: Mapping[str, Scalar] = field(default_factory=dict)

    def to_json(self) -> list[Any]:
        return [
            self.key,
            self.input.key,
            dict(self.relevance),
            None if self.candidates is None else sorted(self.candidates),
            sorted(self.exclude),
            self.group,
            self.cluster,
            dict(self.tags),
        ]


@dataclass(frozen=True)
class Skip:
    """Something of the source that is not part of the task, and why. Counted and shown, never silent."""

    item: str
    reason: str


@dataclass(frozen=True)
class TaskData:
    """The questions of a task, frozen: everything a score depends on is covered by `data_hash`.

    `instructions` are what an encoder that follows instructions is told of each role; never a task's name or split.
    `training` are (input, candidate key) to fit a linear probe on, where the publisher offers a training split.
    """

    queries: tuple[Query, ...]
    candidates: Mapping[str, Candidate]
    skipped: tuple[Skip, ...] = ()
    notes: tuple[str, ...] = ()
    instructions: Mapping[Role, str] = field(default_factory=dict)
    training: tuple[tuple[Input, str], ...] = ()

    @cached_property
    def data_hash(self) -> str:
        """Independent of the order in which queries and candidates are listed."""
        parts: list[Any] = [
            sorted((query.to_json() for query in self.queries), key=lambda row: row[0]),
            sorted([candidate.key, candidate.content] for candidate in self.candidates.values()),
        ]
        if self.instructions:
            parts.append(dict(self.instructions))
        if self.training:
            parts.append(sorted([item.key, key] for item, key in self.training))
        return content_hash(parts)

    def pool(self, query: Query) -> list[Candidate]:
        """The candidates a query ranks, sorted by content hash: an order that carries no information."""
        keys = self.candidates.keys() if query.candidates is None else query.candidates
        pool = [self.candidates[key] for key in keys if key not in query.exclude]
        return sorted(pool, key=lambda candidate: (candidate.content, candidate.key))


@dataclass(frozen=True)
class DataFile:
    """A file or folder that a task reads: `path` is relative to the data folder (--data).

    `url` is where `fetch` gets it; `member` the path inside it where the url is an archive that is unpacked to `path`.
    `how` says in a sentence how a person gets it where no program may (a licence to accept, a form to fill in).
    `annotations`: small files that a task needs even where no picture is looked at (blind baselines).
    """

    path: str
    url: str = ""
    how: str = ""
    member: str = ""
    annotations: bool = False


@dataclass(frozen=True)
class TaskSpec:
    """A row of the task table; no data, no imports: `loader` is "module:attr", called with (spec, TaskContext).

    `also` are metrics told beside the main one. `revision`, `counts` and `chance` are what is known of the publisher's
    data, never a guess: "" , {} and None where it is not; exact chance is computed with every score anyway.
    `counts` may hold "queries" and "candidates", and a loader whose files give others refuses them.
    `files` are what a task reads under --data. `partial` names scores that half a skill earns
    ({"right object, ignores left and right": 0.5}). `unverified`: the publisher's files were not at hand.
    """

    name: str
    version: int
    loader: str
    description: str
    metric: str = "hit@1"
    also: tuple[str, ...] = ("hit@5", "mrr", "strict@1")
    modalities: str = "image+text -> image"
    source: str = ""
    citation: str = ""
    licence: str = ""
    revision: str = ""
    chance: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    files: tuple[DataFile, ...] = ()
    partial: Mapping[str, float] = field(default_factory=dict)
    unverified: bool = False
    params: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskContext:
    """What the user chose about the data: which pictures, where they lie, how many, and whether to use the network.

    `source` and `data_root` are for tasks made from any pictures; `data` is the folder of the public sets (--data).
    `limit` is a number of source images (queries, where a set is made of queries).
    `blind`: nothing but annotation files is to be read: pictures become references that cannot be loaded.
    """

    source: str = "photos"
    data_root: str | None = None
    limit: int | None = None
    seed: int = 0
    offline: bool = False
    data: Path | None = None
    blind: bool = False


@dataclass(frozen=True)
class TargetRank:
    """Where one relevant bundle stands. `above`: bundles strictly above its tie group; `tied`: others in that group.

    Targets with the same `above` share one tie group, which is drawn around the best of them; other groups lie wholly
    above or below. `gain` is r/m: of the bundle's m entries r are relevant, and an encoder cannot choose among them.
    """

    key: str
    above: int
    tied: int
    gain: float


@dataclass(frozen=True)
class Prediction:
    """What is kept of one query: enough to compute every metric, and its chance, again without the encoder.

    `top`: (candidate key, score) in rank order, all of the pool up to 100 bundles, else the first 100 (`truncated`).
    A bundle is named by its smallest key. `pool` counts bundles; `targets` holds every relevant one, best first, and
    is empty where the answers are held by a server.
    """

    query: str
    cluster: str
    group: str
    tags: Mapping[str, Scalar]
    pool: int
    targets: tuple[TargetRank, ...]
    top: tuple[tuple[str, float], ...]
    truncated: bool = False


@dataclass(frozen=True)
class Estimate:
    """A number with its interval (95%).

    `method`: "cluster bootstrap", "cluster bootstrap (few clusters)", "wilson", "wilson (one cluster)" or
    "wilson (clusters agree)"; see `stats.estimate` for when each is used.
    """

    value: float
    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Result:
    """What a run says of one task; written as result.json. Numbers are unrounded shares in [0, 1].

    `interval` is the method of (low, high); `n` counts scored queries; a control is None where it does not apply;
    `metrics` is {name: {value, low, high, chance}} and holds the main `metric` too.
    `audit` (see `shortcuts.audit`) is {blind: {name: value}, unimodal: {name: value}, intervals: {name: [low, high]},
    needs_fusion: true | false | null, reason}; `composition` is {gap, low, high, part}: the score minus that of the
    better half of the query, `part`; {} where queries have one modality.
    """

    name: str
    version: int
    data_hash: str
    metric: str
    value: float
    low: float
    high: float
    interval: str
    chance: float
    n: int
    clusters: int
    controls: Mapping[str, float | None]
    metrics: Mapping[str, Mapping[str, float]]
    seconds: float
    skills: Mapping[str, Any] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict)
    composition: Mapping[str, Any] = field(default_factory=dict)
    skipped: Sequence[Mapping[str, str]] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()

    @property
    def normalised(self) -> float:
        """0 at chance, 1 at perfect."""
        return (self.value - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0
