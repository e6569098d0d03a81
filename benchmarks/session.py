"""One evaluation under way: embed what the first unfinished task needs, then rank, score and write task by task."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import controls, predictions
from benchmarks.encoders import Adapted, adapt
from benchmarks.results import summarise
from benchmarks.runs import RunFolder
from benchmarks.score import collapsed, pool_vectors, rank
from benchmarks.types import Prediction, Query, Result, TaskData, TaskSpec
from fuselip.core.embed import Embeddings, Item, Peers, as_seen_by, embed
from fuselip.core.store import EmbeddingStore
from fuselip.core.towers import JoinedEmbeddings, Separable, TowerParts, parts
from fuselip.core.types import ImageRef, Input

DRIFT_IMAGES = 64


class Listener:
    """Hears what an evaluation does. This one keeps silent; the command line's draws a progress bar."""

    def say(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...


@dataclass(frozen=True)
class Loaded:
    """A task with its questions, and the stripped questions of its single-modality controls."""

    spec: TaskSpec
    data: TaskData
    variants: Mapping[str, Sequence[Query]]

    def items(self) -> Iterable[Item]:
        for queries in self.variants.values():
            yield from (self.query(query) for query in queries)
        for candidate in self.data.candidates.values():
            yield from map(self.candidate, candidate.inputs)

    def query(self, query: Query) -> Item:
        return Item(query.input, "query", self.data.instructions.get("query", ""))

    def candidate(self, part: Input) -> Item:
        return Item(part, "candidate", self.data.instructions.get("candidate", ""))


class Session:
    """One evaluation under way: the embeddings are made when the first unfinished task needs them."""

    def __init__(
        self,
        embedder: Adapted,
        loaded: list[Loaded],
        folder: RunFolder | None,
        store: EmbeddingStore,
        listener: Listener,
        peers: Peers | None = None,
    ) -> None:
        """`store` holds what `source_of(embedder)` makes."""
        self.embedder, self.loaded, self.folder, self.store, self.listener = embedder, loaded, folder, store, listener
        self.peers, self.source = peers, source_of(embedder)
        self.embeddings: Embeddings | None = None
        self.drift: Mapping[str, Any] | None = None

    def results(self) -> list[Result]:
        done = {part.spec.name: self.folder.finished(part.spec.name) for part in self.loaded} if self.folder else {}
        if self.folder and all(done.values()):
            self.listener.say("every task is finished already; nothing to encode")
        charged: set[str] = set()
        results = [done.get(part.spec.name) or self._score(part, charged) for part in self.loaded]
        if self.peers and self.embeddings is None:
            self.peers.tell([])  # nothing to encode: the others wait to hear so
        return results

    def _embeddings(self) -> Embeddings:
        """Vectors of all tasks' items: the plan covers the whole run, so that it never depends on what is finished."""
        if self.embeddings is None:
            items = all_items(self.loaded)
            wanted = source_items(self.embedder, items)
            found = embed(self.source, wanted, self.store, self.listener.progress, self.peers)
            encoder = self.embedder.encoder
            self.embeddings = JoinedEmbeddings.of(found, encoder) if isinstance(encoder, Separable) else found
            self.drift = self._precision_drift(items)
        return self.embeddings

    def _precision_drift(self, items: Iterable[Item]) -> Mapping[str, Any] | None:
        """For a precision other than fp32: how many image ids it changes on (up to 64 of) this run's images."""
        report = getattr(self.embedder.encoder, "precision_report", None)
        if report is None or self.embedder.info.precision == "fp32":
            return None
        images: dict[str, ImageRef] = {item.input.image.key: item.input.image for item in items if item.input.image}
        if not images:
            return None
        drift: Mapping[str, Any] = report([images[key] for key in sorted(images)[:DRIFT_IMAGES]])
        self.listener.say(
            f"{drift['precision']}: {100 * drift['ids_changed']:.1f}% of the image ids are not those of fp32 "
            f"({drift['images']} of this run's {len(images)} images)"
        )
        return drift

    def _score(self, part: Loaded, charged: set[str]) -> Result:
        embeddings = self._embeddings()
        started = time.perf_counter()
        vectors = _Vectors(embeddings, self.embedder, part)
        by_variant: dict[str, list[Prediction]] = {}
        contents, gallery = vectors.gallery()
        label = self.embedder.info.label
        for variant, queries in part.variants.items():
            found = vectors.queries(queries)
            by_variant[variant] = rank(queries, part.data, found, contents, gallery, encoder=label)
        by_variant |= controls.predictions(part.data)
        warnings = ["the embeddings have collapsed: all candidates look the same to this encoder"] * collapsed(gallery)
        spent = sum(embeddings.seconds[key] for key in vectors.used - charged)
        charged |= vectors.used
        seconds = spent + time.perf_counter() - started
        result = summarise(part.spec, part.data, by_variant, seconds=seconds, warnings=warnings)
        if self.folder:
            header = {
                "task": part.spec.name,
                "version": str(part.spec.version),
                "data_hash": part.data.data_hash,
                "metric": part.spec.metric,
                "encoder": self.embedder.info.label,
                "fingerprint": self.embedder.info.fingerprint or "",
            }
            predictions.write(self.folder.task(part.spec.name) / "predictions.parquet", by_variant, header)
            self.folder.finish(result)
        return result

    def embedding_record(self) -> dict[str, Any]:
        """What encoding took, in this session (reused batches were paid for before)."""
        made = self.embeddings
        if made is None:
            return {"inputs": 0, "encoded_batches": 0, "reused_batches": 0, "encode_seconds": 0.0}
        return {
            "inputs": len(made.rows),
            "encoded_batches": made.encoded_batches,
            "reused_batches": made.reused_batches,
            "encode_seconds": made.encode_seconds,
            "wait_seconds": made.wait_seconds,
            "splits": made.splits,
            "processes": self.peers.world if self.peers else 1,
            **({"precision": dict(self.drift)} if self.drift else {}),
        }


def all_items(loaded: Sequence[Loaded]) -> list[Item]:
    """Everything that the tasks embed: the plan covers the whole run, and is the same in every process of it."""
    return [item for part in loaded for item in part.items()]


def source_of(embedder: Adapted) -> Adapted:
    """What is asked for vectors: the encoder, or the towers of one that joins images and texts afterwards."""
    encoder = embedder.encoder
    return adapt(TowerParts(encoder)) if isinstance(encoder, Separable) else embedder


def source_items(embedder: Adapted, items: Sequence[Item]) -> Sequence[Item]:
    """What it is asked for."""
    return parts(items) if isinstance(embedder.encoder, Separable) else items


class _Vectors:
    """Looks up the vectors of one task, and remembers which items it used."""

    def __init__(self, embeddings: Embeddings, embedder: Adapted, part: Loaded) -> None:
        self._embeddings, self._info, self._part = embeddings, embedder.info, part
        self.used: set[str] = set()

    def _item(self, item: Item) -> Item:
        item = as_seen_by(self._info, item)
        self.used.update(self._embeddings.keys(item))
        return item

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """float32 [Q, D]."""
        return self._embeddings.stack([self._item(self._part.query(query)) for query in queries])

    def gallery(self) -> tuple[list[str], np.ndarray]:
        """The distinct contents of the candidates, sorted, and their pooled vectors, float32 [G, D]."""
        distinct = {candidate.content: candidate for candidate in self._part.data.candidates.values()}
        contents = sorted(distinct)
        groups = [[self._item(self._part.candidate(part)) for part in distinct[content].inputs] for content in contents]
        return contents, pool_vectors([self._embeddings.stack(group) for group in groups])
