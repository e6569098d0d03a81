"""Making a challenge: fresh questions from a secret seed, without names, tags, parameters or any order that tells."""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from PIL import Image

from benchmarks import tasks as registry
from benchmarks.challenge_file import (
    CHALLENGE,
    CHALLENGE_CAPS,
    SCHEMA,
    canonical,
    read_challenge,
    read_zip,
    write_zip,
)
from benchmarks.tasks import tgit_made
from benchmarks.types import Query, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UsageError
from fuselip.core.types import ImageRef, Input
from leaderboard.challenge import Record, Revealed, sign, stamp

FRESH = ("scenes/*", "tgit-scenes/*")
"""Tasks that are drawn from a seed alone, so that new questions of the same kind can be made."""

NOT_ASKED = {"scenes/paraphrase-tot": "each of its questions is the answer of another one"}
ONCE = ("scenes/negatives-*", "scenes/paraphrase-itt")
"""No caption of these stands in two pools: a true one would more often, as it fits several questions of its picture."""

MAX_HOURS = 24 * 90


@dataclass(frozen=True)
class Built:
    """All that follows from a seed: the document but for its signature, its pictures, and the questions with answers.

    `tasks` hold only questions that are asked; `question_ids` [task, query key] and `candidate_ids` [task, candidate
    key] lead from ours to the opaque ids.
    """

    document: dict[str, Any]
    pictures: Mapping[str, ImageRef]
    tasks: Mapping[str, tuple[TaskSpec, TaskData]]
    question_ids: Mapping[tuple[str, str], str]
    candidate_ids: Mapping[tuple[str, str], str]

    @property
    def content(self) -> str:
        return hashlib.sha256(canonical(self.document)).hexdigest()


def make(
    seed: bytes, key: bytes, tasks: Sequence[str], questions: int | None, now: datetime, hours: float
) -> tuple[bytes, Record]:
    """The file for the stranger, and what the server keeps. `tasks`: names or patterns; `questions`: the most of each.

    The same arguments give the same bytes. Raises UsageError for tasks that cannot be asked afresh, or a time that is
    not more than 0 and at most 90 days.
    """
    if not 0 < hours <= MAX_HOURS:
        raise UsageError(f"a challenge is open for more than 0 and at most {MAX_HOURS} hours, not {hours:g}")
    names = choose(tasks)
    built = build(seed, names, questions, stamp(now), stamp(now + timedelta(hours=hours)))
    told = built.document
    record = Record(
        id=told["id"],
        seed=seed.hex(),
        tasks=names,
        questions=questions,
        created=told["created"],
        expires=told["expires"],
        content=built.content,
    )
    return pack(built, sign.signature(key, record.id, record.expires, record.content)), record


def choose(patterns: Sequence[str] = ()) -> tuple[str, ...]:
    """The tasks that the patterns name (none: all that can be asked afresh), in the order of the table."""
    able = [name for name in registry.match(FRESH) if name not in NOT_ASKED]
    if not patterns:
        return tuple(able)
    named = registry.match(patterns)
    if chosen := tuple(name for name in named if name in able):
        return chosen
    why = NOT_ASKED.get(named[0], f"only tasks that are drawn can: {', '.join(FRESH)}")
    raise UsageError(f"{named[0]} cannot be asked afresh: {why}")


def build(seed: bytes, tasks: Sequence[str], questions: int | None, created: str, expires: str) -> Built:
    """Everything of a challenge but its signature."""
    if len(seed) != sign.SEED_BYTES:
        raise UsageError(f"a seed has {sign.SEED_BYTES} bytes ({2 * sign.SEED_BYTES} hex digits), not {len(seed)}")
    loaded = {name: _load(seed, name) for name in tasks}
    instructions = {canonical(dict(data.instructions)) for _, data in loaded.values()}
    assert len(instructions) == 1, "these tasks tell an encoder the same"
    kept = _sample(seed, loaded, questions)
    writer = _Writer(seed)
    asked: list[dict[str, Any]] = []
    question_ids: dict[tuple[str, str], str] = {}
    candidate_ids: dict[tuple[str, str], str] = {}
    for name, (_, data) in kept.items():
        candidate_ids |= {(name, key): writer.candidate(each.inputs) for key, each in data.candidates.items()}
        for query in data.queries:
            number = question_ids[name, query.key] = sign.opaque(seed, "question", name, query.key)
            pool = sorted({candidate_ids[name, each.key] for each in data.pool(query)})
            asked.append({"id": number, **writer.part(query.input), "candidates": pool})
    document = {
        "schema": SCHEMA,
        "id": sign.opaque(seed, "challenge"),
        "created": created,
        "expires": expires,
        "commitment": sign.commitment(seed, tasks, questions),
        "instructions": dict(next(iter(kept.values()))[1].instructions),
        "questions": sorted(asked, key=lambda each: each["id"]),
        "candidates": writer.candidates,
    }
    return Built(document, writer.pictures, kept, question_ids, candidate_ids)


def _load(seed: bytes, name: str) -> tuple[TaskSpec, TaskData]:
    spec, number = registry.task(name), sign.questions_seed(seed)
    if name.startswith("tgit-scenes/"):
        spec = tgit_made.fresh(spec, number)
    return spec, registry.load_task(spec, TaskContext(seed=number))


class _Writer:
    """Pictures and candidates under opaque ids: one id for what looks the same, wherever it is used.

    A picture's id follows from its pixels, not from its recipe: two ids for equal pixels would tell of their making.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._known: dict[str, str] = {}
        self.pictures: dict[str, ImageRef] = {}
        self.candidates: dict[str, list[dict[str, Any]]] = {}

    def part(self, of: Input) -> dict[str, Any]:
        return {"image": self._picture(of.image) if of.image else None, "text": of.text}

    def candidate(self, inputs: Sequence[Input]) -> str:
        parts = sorted((self.part(each) for each in inputs), key=lambda part: (part["image"] or "", part["text"]))
        number = sign.opaque(self._seed, "candidate", canonical(parts).decode())
        self.candidates[number] = parts
        return number

    def _picture(self, ref: ImageRef) -> str:
        if ref.key not in self._known:
            image = ref.load()
            pixels = hashlib.sha256(image.tobytes()).hexdigest()
            number = sign.opaque(self._seed, "picture", f"{image.width}x{image.height}", pixels)
            self._known[ref.key] = number
            self.pictures.setdefault(number, ref)
        return self._known[ref.key]


def pack(built: Built, signature: str) -> bytes:
    """The file: the signed document and its pictures."""
    members = {f"images/{number}.png": png(ref.load()) for number, ref in built.pictures.items()}
    return write_zip({CHALLENGE: canonical({**built.document, "signature": signature}), **members})


def png(image: Image.Image) -> bytes:
    """RGB, one size of filter and compression for all, and nothing but pixels in it."""
    stream = io.BytesIO()
    Image.frombytes("RGB", image.size, image.tobytes()).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def _sample(
    seed: bytes, loaded: Mapping[str, tuple[TaskSpec, TaskData]], most: int | None
) -> dict[str, tuple[TaskSpec, TaskData]]:
    """At most so many questions of each task, drawn by the seed; groups stay whole, captions of `ONCE` apart."""
    kept = {}
    said: set[str] = set()
    for name, (spec, data) in loaded.items():
        once = any(fnmatchcase(name, pattern) for pattern in ONCE)
        units: dict[str, list[Query]] = defaultdict(list)
        for query in data.queries:
            units[query.group or query.key].append(query)
        chosen: list[Query] = []
        for unit in sorted(units, key=lambda unit: sign.keyed(seed, "sample", name, unit)):
            pools = {candidate.content for query in units[unit] for candidate in data.pool(query)} if once else set()
            if (most is None or len(chosen) + len(units[unit]) <= most) and not pools & said:
                chosen += units[unit]
                said |= pools
        kept[name] = (spec, _only(data, chosen))
    return kept


def _only(data: TaskData, queries: Sequence[Query]) -> TaskData:
    """The task with these questions alone, and the candidates that they rank."""
    used = {candidate.key for query in queries for candidate in data.pool(query)}
    return replace(
        data, queries=tuple(queries), candidates={key: each for key, each in data.candidates.items() if key in used}
    )


@dataclass(frozen=True)
class Checked:
    """What deriving a challenge again gave: `same_bytes`, or the first `difference`, "" where there is none.

    Bytes can differ without a difference where another build of zlib packed the same pixels.
    """

    same_bytes: bool
    difference: str


def check(data: bytes, revealed: Revealed) -> Checked:
    """Is this the file that follows from the published seed?

    The signature alone, which needs the server's key, is taken over as it stands. Raises UserError for a file that is
    no challenge, UsageError for a seed that is none.
    """
    told, pictures = read_challenge(data, "the challenge")
    tasks = choose(revealed.tasks)
    built = build(seed_of(revealed.seed), tasks, revealed.questions, told.created, told.expires)
    if pack(built, told.signature) == data:
        return Checked(True, "")
    theirs = json.loads(read_zip(data, CHALLENGE_CAPS, "the challenge")[CHALLENGE])
    for part, ours in built.document.items():
        if theirs[part] != ours:
            return Checked(
                False, f"{part!r} of {CHALLENGE} does not follow from this seed, these tasks and this number"
            )
    for number, ref in sorted(built.pictures.items()):
        if pictures[number].load().tobytes() != ref.load().tobytes():
            return Checked(False, f"the picture {number} is another")
    return Checked(False, "")


def seed_of(text: str) -> bytes:
    """The seed of its hex digits. Raises UsageError."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"a seed is {2 * sign.SEED_BYTES} hex digits, not {text[:80]!r}") from None
