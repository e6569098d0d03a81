"""What of the benchmark is in a training set: pictures that look the same and texts that share words.

The benchmark is held in memory as hashes and runs of words; the training side streams by, so that its size costs time
alone. A query is tainted where its own input, or one of its answers, was trained on; other candidates are listed only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from benchmarks import leaks_hash
from benchmarks.leaks_hash import HashIndex, hashes
from benchmarks.leaks_texts import TextIndex
from benchmarks.leaks_training import Trained
from benchmarks.types import TaskData, TaskSpec
from datagen.sources.types import Rejected
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef, Input

SCHEMA = 1
DISTANCE = 8
# Training items named for each overlap, at most; all are counted.
EXAMPLES = 5
# Items hashed between two looks at the index.
BATCH = 512


@dataclass(frozen=True)
class Use:
    """Where a task uses a picture or text: "query" or "candidate", and its key."""

    task: str
    part: str
    key: str


@dataclass
class Hit:
    """Training items that match; `examples` are (key, how: bits or shared words)."""

    count: int = 0
    examples: list[tuple[str, int | str]] = field(default_factory=list)

    def add(self, key: str, how: int | str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((key, how))


@dataclass
class Seen:
    """What went by of the training side."""

    items: int = 0
    images: int = 0
    texts: int = 0
    plain: int = 0
    unreadable: int = 0
    reasons: list[str] = field(default_factory=list)

    def reject(self, key: str, why: str) -> None:
        self.unreadable += 1
        if len(self.reasons) < EXAMPLES:
            self.reasons.append(f"{key}: {why}")


class Benchmark:
    """The tasks' distinct pictures (hashed, with their views) and texts, and who uses them."""

    def __init__(self, tasks: Sequence[tuple[TaskSpec, TaskData]], limit: int = DISTANCE, workers: int = 1) -> None:
        """`limit`: bits of 64 that two hashes may differ in. UsageError where it is out of range."""
        if not 0 <= limit <= leaks_hash.MAX_DISTANCE:
            raise UsageError(f"--distance {limit}: it is a number of bits from 0 to {leaks_hash.MAX_DISTANCE}")
        self.tasks, self.limit, self.workers = tasks, limit, workers
        self._images: dict[ImageRef, set[Use]] = {}
        self._texts: dict[str, set[Use]] = {}
        self._runs = TextIndex()
        numbers: dict[str, int] = {}
        for spec, data in tasks:
            for use, found, picture in _uses(spec.name, data):
                if found.image is not None:
                    self._images.setdefault(found.image, set()).add(use)
                if found.text:
                    self._texts.setdefault(found.text, set()).add(use)
                    self._runs.add(numbers.setdefault(found.text, len(numbers)), found.text, picture)
        self.image_uses, self.text_uses = list(self._images.values()), list(self._texts.values())
        self.templates = self._runs.templates()
        self.image_hits: dict[int, Hit] = {}
        self.text_hits: dict[int, Hit] = {}
        self.plain = self._hash()

    def _hash(self) -> int:
        """Enter all views of all pictures; returns how many pictures are too plain."""
        with ThreadPoolExecutor(self.workers) as pool:
            found = list(pool.map(_views, self._images))
        rows = [(number, *pair) for number, pairs in enumerate(found) for pair in pairs]
        table = np.array(rows, np.uint64).reshape(-1, 3)
        self._owners = table[:, 0].astype(np.int64)
        self._steps = table[:, 2].copy()
        self._index = HashIndex(table[:, 1].copy(), self.limit)
        return sum(not pairs for pairs in found)

    def scan(self, items: Iterable[Trained | Rejected]) -> Iterator[Seen]:
        """Compare everything in `items`; yields what has gone by, batch after batch."""
        seen, stream = Seen(), iter(items)
        with ThreadPoolExecutor(self.workers) as pool:
            while batch := list(islice(stream, BATCH)):
                trained = [each for each in batch if isinstance(each, Trained)]
                for each in batch:
                    if isinstance(each, Rejected):
                        seen.reject(each.item, each.reason)
                self._match_texts(trained, seen)
                self._match_images(trained, seen, pool)
                seen.items += len(trained)
                yield seen

    def _match_texts(self, trained: Sequence[Trained], seen: Seen) -> None:
        for each in trained:
            seen.texts += len(each.texts)
            for text in each.texts:
                for number, run in self._runs.find(text).items():
                    self.text_hits.setdefault(number, Hit()).add(each.key, run)

    def _match_images(self, trained: Sequence[Trained], seen: Seen, pool: ThreadPoolExecutor) -> None:
        listed = [(each.key, image) for each in trained for image in each.images]
        keys, pairs = [], []
        for (key, _), found in zip(listed, pool.map(_hashed, [image for _, image in listed]), strict=True):
            if isinstance(found, str):
                seen.reject(key, found)
                continue
            seen.images += 1
            if found is None:
                seen.plain += 1
            else:
                keys.append(key)
                pairs.append(found)
        if not pairs:
            return
        table = np.array(pairs, np.uint64)
        left, right, bits = self._index.near(table[:, 0].copy())
        kept = leaks_hash.distance(table[left, 1], self._steps[right]) <= leaks_hash.MAX_STEPS
        nearest: dict[tuple[int, int], int] = {}  # several views of a picture may match
        for place, entry, bit in zip(
            left[kept].tolist(), self._owners[right[kept]].tolist(), bits[kept].tolist(), strict=True
        ):
            nearest[entry, place] = min(bit, nearest.get((entry, place), bit))
        for (entry, place), bit in nearest.items():
            self.image_hits.setdefault(entry, Hit()).add(keys[place], bit)

    def report(self, seen: Seen, spec: str) -> dict[str, Any]:
        """All that was found, as JSON: for each task its clean queries, and each overlap with examples."""
        overlaps = [
            {"kind": kind, **use.__dict__, "matches": hit.count, "examples": hit.examples}
            for kind, hits, uses in (
                ("image", self.image_hits, self.image_uses),
                ("text", self.text_hits, self.text_uses),
            )
            for number, hit in sorted(hits.items())
            for use in sorted(uses[number], key=lambda use: (use.task, use.part, use.key))
        ]
        return {
            "schema": SCHEMA,
            "training": {"spec": spec, **seen.__dict__},
            "distance": self.limit,
            "templates": self.templates,
            "plain": self.plain,
            "tasks": {spec.name: _verdict(spec, data, overlaps) for spec, data in self.tasks},
            "overlaps": overlaps,
        }


def _verdict(spec: TaskSpec, data: TaskData, overlaps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    tainted: dict[str, set[str]] = {}
    for kind in ("image", "text"):
        mine = [each for each in overlaps if each["task"] == spec.name and each["kind"] == kind]
        queries = {each["key"] for each in mine if each["part"] == "query"}
        answers = {each["key"] for each in mine if each["part"] == "candidate"}
        tainted[kind] = {
            query.key
            for query in data.queries
            if query.key in queries or any(grade > 0 and key in answers for key, grade in query.relevance.items())
        }
    clean = [query.key for query in data.queries if query.key not in tainted["image"] | tainted["text"]]
    return {
        "version": spec.version,
        "data_hash": data.data_hash,
        "queries": len(data.queries),
        "by_image": len(tainted["image"]),
        "by_text": len(tainted["text"]),
        "clean": clean,
    }


def clean_keys(report: dict[str, Any]) -> dict[str, Any]:
    """What `--out` writes: for each task the keys of the queries that nothing of the training set gives away."""
    kept = ("version", "data_hash", "queries", "clean")
    tasks = {name: {key: found[key] for key in kept} for name, found in report["tasks"].items()}
    return {"schema": SCHEMA, "training": report["training"]["spec"], "distance": report["distance"], "tasks": tasks}


def _uses(task: str, data: TaskData) -> Iterator[tuple[Use, Input, str]]:
    """(use, input, picture it belongs to) for everything that a task asks or answers with."""
    for query in data.queries:
        yield Use(task, "query", query.key), query.input, query.cluster or query.key
    for candidate in data.candidates.values():
        for found in candidate.inputs:
            yield Use(task, "candidate", candidate.key), found, candidate.key


def _views(image: ImageRef) -> list[tuple[int, int]]:
    return [pair for view in leaks_hash.views(image.load()) if (pair := hashes(view)) is not None]


def _hashed(image: ImageRef) -> tuple[int, int] | str | None:
    """Its hashes, None where it is too plain, or why it cannot be read."""
    try:
        return hashes(image.load())
    except UserError as error:
        return str(error)
