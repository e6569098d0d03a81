"""One evaluation under way: embed what the first unfinished task needs, then rank, score and write task by task."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import controls, predictions, server_files
from benchmarks.encoders import Adapted, adapt
from benchmarks.geometry import geometry
from benchmarks.ranked import Shrinker, Vectors
from benchmarks.results import summarise
from benchmarks.runs import RunFolder
from benchmarks.types import Prediction, Query, Result, TaskData, TaskSpec
from fuselip.core.embed import Embeddings, Item, Peers, embed
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
        if self.is_probe:  # its candidates are classes, learned from examples
            yield from self.training()
            return
        for candidate in self.data.candidates.values():
            yield from map(self.candidate, candidate.inputs)

    @property
    def is_scored(self) -> bool:
        """Whether any answer is known here, rather than held by the publisher's server."""
        return any(query.relevance for query in self.data.queries)

    @property
    def is_probe(self) -> bool:
        return bool(self.spec.params.get("probe"))

    def training(self) -> list[Item]:
        """The examples that a linear probe learns from, in the order of `data.training`."""
        return [Item(part, "query", self.data.instructions.get("query", "")) for part, _ in self.data.training]

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
        shrink: Shrinker | None = None,
    ) -> None:
        """`store` holds what `source_of(embedder)` makes. `shrink`: see `ranked.Vectors`."""
        self.embedder, self.loaded, self.folder, self.store, self.listener = embedder, loaded, folder, store, listener
        self.peers, self.source, self.shrink = peers, source_of(embedder), shrink
        self.submissions: dict[str, str] = {}
        self.scored_as: Mapping[str, Any] = {}
        self.embeddings: Embeddings | None = None
        self.drift: Mapping[str, Any] | None = None

    def results(self) -> list[Result]:
        done = {part.spec.name: self.folder.finished(part.spec.name) for part in self.loaded} if self.folder else {}
        if self.folder and all(done.values()):
            self.listener.say("every task is finished already; nothing to encode")
        charged: set[str] = set()
        results = [done.get(part.spec.name) or self._score(part, charged) for part in self.loaded if part.is_scored]
        for part in self.loaded:
            if not part.is_scored:
                self._answer(part)
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
        vectors = Vectors(embeddings, self.embedder, part, self.shrink)
        by_variant = vectors.predictions() | controls.predictions(part.data)
        warnings = ["the embeddings have collapsed: all candidates look the same to this encoder"] * vectors.collapsed()
        spent = sum(embeddings.seconds[key] for key in vectors.used - charged)
        charged |= vectors.used
        seconds = spent + time.perf_counter() - started
        result = summarise(part.spec, part.data, by_variant, seconds=seconds, warnings=warnings)
        if vectors.shrunk:
            self.scored_as = vectors.shrunk.record()
        if self.folder:
            self._write(part, by_variant)
            self.folder.finish(result)
        return result

    def _answer(self, part: Loaded) -> None:
        """A task whose answers a server holds: what the encoder answers is written for that server, and not scored."""
        path = None if self.folder is None else self.folder.submission(part.spec.name)
        if path is None or not path.exists():
            found = Vectors(self._embeddings(), self.embedder, part, self.shrink).predictions()
            if self.folder and path:
                self._write(part, found)
                server_files.write(path, part.spec, part.data, found["model"])
        where = f"written to {path}" if path else "give --output to have them written"
        self.listener.say(f"{part.spec.name}: the publisher's server holds the answers; ours are {where}")
        if path:
            self.submissions[part.spec.name] = path.name

    def _write(self, part: Loaded, by_variant: Mapping[str, list[Prediction]]) -> None:
        assert self.folder is not None
        header = {
            "task": part.spec.name,
            "version": str(part.spec.version),
            "data_hash": part.data.data_hash,
            "metric": part.spec.metric,
            "encoder": self.embedder.info.label,
            "fingerprint": self.embedder.info.fingerprint or "",
        }
        predictions.write(self.folder.task(part.spec.name) / "predictions.parquet", by_variant, header)

    def geometry(self) -> dict[str, Any]:
        """Of all vectors of the run (see `geometry.geometry`); {} where nothing was encoded in this session."""
        if self.embeddings is None:
            return {}
        by_modality: dict[str, list[np.ndarray]] = {}
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for part in self.loaded:
            vectors = Vectors(self.embeddings, self.embedder, part)
            for name, rows in vectors.by_modality().items():
                by_modality.setdefault(name, []).append(rows)
            if part.is_scored and not part.is_probe:
                pairs.append(vectors.answers())
        return geometry(
            {name: np.concatenate(rows) for name, rows in by_modality.items()},
            np.concatenate([asked for asked, _ in pairs]) if pairs else None,
            np.concatenate([right for _, right in pairs]) if pairs else None,
        )

    def embedding_record(self) -> dict[str, Any]:
        """What encoding took, in this session (reused batches were paid for before)."""
        made = self.embeddings
        if made is None:
            return {"inputs": 0, "encoded_batches": 0, "reused_batches": 0, "encode_seconds": 0.0}
        return {
            "dim": made.dim,
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
