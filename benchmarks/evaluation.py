"""From an encoder and a suite to results: load the tasks, embed every distinct input once, rank, score, write."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import controls, predictions
from benchmarks import tasks as registry
from benchmarks.encoders import Adapted, adapt, resolve
from benchmarks.results import result_to_json, summarise
from benchmarks.runs import SCHEMA, RunFolder
from benchmarks.score import collapsed, pool_vectors, rank
from benchmarks.types import Prediction, Query, Result, TaskContext, TaskData, TaskSpec
from fuselip.core.embed import Embeddings, Item, as_seen_by, embed
from fuselip.core.errors import UsageError
from fuselip.core.files import cache_home, write_json
from fuselip.core.provenance import provenance
from fuselip.core.store import EmbeddingStore, prune, shared_store
from fuselip.core.types import ImageRef

if TYPE_CHECKING:
    import pandas as pd

CACHE_CAP_BYTES = 10 * 2**30
DRIFT_IMAGES = 64


class Listener:
    """Hears what an evaluation does. This one keeps silent; the command line's draws a progress bar."""

    def say(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...


@dataclass
class Evaluation:
    """The results of one run, as objects (`results`), as plain data (`summary`) and as a table."""

    results: list[Result]
    summary: dict[str, Any]
    folder: Path | None = None

    def to_pandas(self) -> pd.DataFrame:
        """One row a task: name, metric, value, low, high, chance, normalised, n, clusters and the controls."""
        import pandas as pd

        rows = []
        for result in self.results:
            row = {key: value for key, value in result_to_json(result).items() if not isinstance(value, dict | list)}
            rows.append({**row, "normalised": result.normalised, **result.controls})
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class Loaded:
    """A task with its questions, and the stripped questions of its single-modality controls."""

    spec: TaskSpec
    data: TaskData
    variants: Mapping[str, Sequence[Query]]

    def items(self) -> Iterable[Item]:
        for queries in self.variants.values():
            yield from (Item(query.input, "query") for query in queries)
        for candidate in self.data.candidates.values():
            yield from (Item(part, "candidate") for part in candidate.inputs)


def evaluate(
    encoder: Any,
    suite: str | None = None,
    *,
    tasks: Sequence[str] = (),
    output: str | Path | None = None,
    source: str | None = None,
    data_root: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    cache: bool = True,
    listener: Listener | None = None,
) -> Evaluation:
    """Score an encoder (an object with `encode`, or a name as on the command line) on a suite or on tasks.

    With `output`, everything is written there and the same call resumes a run that was cut off. `source` names other
    pictures than the suite's ("folder:DIR", "csv:FILE", "wds:PATTERN"), `limit` the number of source images.
    Raises UserError or UsageError for what the caller can mend.
    """
    started = time.perf_counter()
    listener = listener or Listener()
    embedder = adapt(resolve(encoder) if isinstance(encoder, str) else encoder)
    suite = suite or ("custom" if tasks else "quick")
    loaded = load(suite, tasks, TaskContext(source or "", data_root, limit, seed), listener)
    config = configuration(embedder, suite, loaded, source, limit, seed)
    with ExitStack() as stack:
        folder = None if output is None else RunFolder(Path(output))
        if folder:
            stack.enter_context(folder.open(config, provenance()))
        store = stack.enter_context(_store(embedder, folder, cache, stack))
        run = _Run(embedder, loaded, folder, store, listener)
        results = run.results()
        summary = {
            "schema": SCHEMA,
            "model": _model(embedder),
            "weights": _weights(embedder),
            "suite": suite,
            "peak_memory_mb": peak_memory_mb(),
            "seconds": time.perf_counter() - started,
            "config": config,
            "provenance": provenance(),
            "embedding": run.embedding_record(),
            "tasks": [result_to_json(result) for result in results],
        }
        if folder:
            write_json(folder.path / "summary.json", summary)
    if cache:
        prune(cache_home(), CACHE_CAP_BYTES)
    return Evaluation(results, summary, folder.path if folder else None)


def load(suite: str, tasks: Sequence[str], context: TaskContext, listener: Listener) -> list[Loaded]:
    """The questions of every task asked for. UsageError for unknown names or no task at all."""
    loaded = []
    for spec, source in registry.select(suite, tasks):
        listener.say(f"loading {spec.name}")
        data = registry.load_task(spec, replace(context, source=context.source or source))
        if not data.queries:
            reasons = "; ".join(sorted({skip.reason for skip in data.skipped})[:3]) or "nothing fits it"
            listener.say(f"{spec.name} has no questions on this source and is left out: {reasons}")
            continue
        loaded.append(Loaded(spec, data, controls.query_variants(data)))
    if not loaded:
        raise UsageError("no task has a question on this source; give another --source or another --task")
    return loaded


def configuration(
    embedder: Adapted, suite: str, loaded: Sequence[Loaded], source: str | None, limit: int | None, seed: int
) -> dict[str, Any]:
    """Everything that decides the predictions: a run folder holds one of these and refuses another."""
    return {
        "encoder": {
            "name": embedder.info.name,
            "fingerprint": embedder.info.fingerprint,
            "origin": dict(embedder.origin),
            "weights": _weights(embedder),
            "precision": embedder.info.precision,
        },
        "limits": {"images": embedder.limits.images, "inputs": embedder.limits.inputs},
        "suite": suite,
        "source": source,
        "limit": limit,
        "seed": seed,
        "tasks": {part.spec.name: f"v{part.spec.version} {part.data.data_hash}" for part in loaded},
    }


def peak_memory_mb() -> float:
    """Peak resident memory of this process and, where one was used, of the GPU, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    host = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return host + torch.cuda.max_memory_allocated() / 2**20
    return host


class _Run:
    """One evaluation under way: the embeddings are made when the first unfinished task needs them."""

    def __init__(
        self,
        embedder: Adapted,
        loaded: list[Loaded],
        folder: RunFolder | None,
        store: EmbeddingStore,
        listener: Listener,
    ) -> None:
        self.embedder, self.loaded, self.folder, self.store, self.listener = embedder, loaded, folder, store, listener
        self.embeddings: Embeddings | None = None
        self.drift: Mapping[str, Any] | None = None

    def results(self) -> list[Result]:
        done = {part.spec.name: self.folder.finished(part.spec.name) for part in self.loaded} if self.folder else {}
        if self.folder and all(done.values()):
            self.listener.say("every task is finished already; nothing to encode")
        charged: set[str] = set()
        return [done.get(part.spec.name) or self._score(part, charged) for part in self.loaded]

    def _embeddings(self) -> Embeddings:
        """Vectors of all tasks' items: the plan covers the whole run, so that it never depends on what is finished."""
        if self.embeddings is None:
            items = [item for part in self.loaded for item in part.items()]
            self.embeddings = embed(self.embedder, items, self.store, self.listener.progress)
            self.drift = self._precision_drift(items)
        return self.embeddings

    def _precision_drift(self, items: Iterable[Item]) -> Mapping[str, Any] | None:
        """For a precision other than fp32: how many image ids it changed on (up to 64 of) this run's images."""
        report = getattr(self.embedder.encoder, "precision_report", None)
        if report is None or self.embedder.info.precision == "fp32":
            return None
        images: dict[str, ImageRef] = {item.input.image.key: item.input.image for item in items if item.input.image}
        return report([images[key] for key in sorted(images)[:DRIFT_IMAGES]]) if images else None

    def _score(self, part: Loaded, charged: set[str]) -> Result:
        embeddings = self._embeddings()
        started = time.perf_counter()
        vectors = _Vectors(embeddings, self.embedder)
        by_variant: dict[str, list[Prediction]] = {}
        contents, gallery = vectors.gallery(part.data)
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
            **({"precision": dict(self.drift)} if self.drift else {}),
        }


class _Vectors:
    """Looks up the vectors of one task, and remembers which items it used."""

    def __init__(self, embeddings: Embeddings, embedder: Adapted) -> None:
        self._embeddings, self._info = embeddings, embedder.info
        self.used: set[str] = set()

    def _item(self, item: Item) -> Item:
        item = as_seen_by(self._info, item)
        self.used.add(item.key)
        return item

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """float32 [Q, D]."""
        return self._embeddings.stack([self._item(Item(query.input, "query")) for query in queries])

    def gallery(self, data: TaskData) -> tuple[list[str], np.ndarray]:
        """The distinct contents of the candidates, sorted, and their pooled vectors, float32 [G, D]."""
        distinct = {candidate.content: candidate for candidate in data.candidates.values()}
        contents = sorted(distinct)
        groups = [[self._item(Item(part, "candidate")) for part in distinct[content].inputs] for content in contents]
        return contents, pool_vectors([self._embeddings.stack(group) for group in groups])


def _store(embedder: Adapted, folder: RunFolder | None, cache: bool, stack: ExitStack) -> EmbeddingStore:
    """Shared by all runs of a fingerprinted encoder; else the run's own; else a temporary one."""
    about = {"encoder": _model(embedder), "made_by": provenance(argv=[])}
    if embedder.info.fingerprint and cache:
        return shared_store(cache_home(), embedder.info.fingerprint, about)
    if folder:
        return EmbeddingStore(folder.path / "embeddings", about)
    return EmbeddingStore(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuselip-"))), about)


def _model(embedder: Adapted) -> dict[str, Any]:
    info = embedder.info
    return {
        "name": info.name,
        "label": info.label,
        "revision": info.revision,
        "dim": info.dim,
        "fusion": info.fusion,
        "instructions": info.instructions,
        "roles": info.roles,
        "precision": info.precision,
        "params": info.params,
        "licence": info.licence,
        "fingerprint": info.fingerprint,
        "settings": dict(info.settings),
        "origin": dict(embedder.origin),
    }


def _weights(embedder: Adapted) -> dict[str, Any] | None:
    weights = embedder.info.weights
    return None if weights is None else dict(weights.__dict__)
