"""From an encoder and a suite to results: load the tasks, embed every distinct input once, rank, score, write."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import controls
from benchmarks import tasks as registry
from benchmarks.distributed import peers
from benchmarks.encoders import Adapted, adapt, resolve
from benchmarks.quantise import shrinker
from benchmarks.results import result_to_json
from benchmarks.runs import SCHEMA, RunFolder
from benchmarks.session import Listener, Loaded, Session, all_items, source_items, source_of
from benchmarks.types import Result, TaskContext
from fuselip.core.embed import help_embed
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import cache_home, write_json
from fuselip.core.provenance import provenance
from fuselip.core.store import EmbeddingStore, prune, shared_store

if TYPE_CHECKING:
    import pandas as pd

CACHE_CAP_BYTES = 10 * 2**30


@dataclass
class Evaluation:
    """The results of one run, as objects (`results`), as plain data (`summary`) and as a table.

    Under torchrun process 0 has them; in the others both are empty.
    """

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


def evaluate(
    encoder: Any,
    suite: str | Sequence[str] | None = None,
    *,
    tasks: Sequence[str] = (),
    output: str | Path | None = None,
    source: str | None = None,
    data_root: str | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    cache: bool = True,
    offline: bool = False,
    truncate_dim: int | None = None,
    quantise: str | None = None,
    swap: bool = False,
    shared: bool = True,
    listener: Listener | None = None,
) -> Evaluation:
    """Score an encoder (an object with `encode`, or a name as on the command line) on suites or on tasks.

    With `output`, everything is written there and the same call resumes a run that was cut off. `source` names other
    pictures than the suite's ("folder:DIR", "csv:FILE", "wds:PATTERN"), `data` the folder
    of the public sets, `limit` the number of source images, and `offline` forbids the network. `truncate_dim` and
    `quantise` ("int8", "binary") score smaller vectors; `swap` also asks every question with another picture.
    Under torchrun the work is shared, unless `shared` is False: then this process does it alone.
    A task of a suite or a pattern whose public data is not there is left out, and the summary says so.
    Raises UserError or UsageError for what the caller can mend.
    """
    started = time.perf_counter()
    listener = listener or Listener()
    embedder = adapt(resolve(encoder) if isinstance(encoder, str) else encoder)
    suites = [suite] if isinstance(suite, str) else list(suite or (["custom"] if tasks else [registry.DEFAULT_SUITE]))
    suites = registry.suite_names(suites)
    context = TaskContext(source or "", data_root, limit, seed, offline, Path(data) if data else None)
    left_out: dict[str, str] = {}
    loaded = load(suites, tasks, context, listener, left_out, swap=swap)
    others = peers() if shared else None
    if others and others.rank > 0:
        help_embed(source_of(embedder), source_items(embedder, all_items(loaded)), others)
        return Evaluation([], {}, None)
    config = configuration(embedder, ", ".join(suites), loaded, source, limit, seed)
    if truncate_dim or quantise:
        config["scored as"] = {"truncate_dim": truncate_dim, "quantise": quantise}
    if swap:
        config["swap"] = True
    with ExitStack() as stack:
        folder = None if output is None else RunFolder(Path(output))
        if folder:
            stack.enter_context(folder.open(config, provenance()))
        store = stack.enter_context(open_store(source_of(embedder), folder, cache, stack))
        run = Session(embedder, loaded, folder, store, listener, others, shrinker(truncate_dim, quantise))
        results = run.results()
        summary = {
            "schema": SCHEMA,
            "model": _model(embedder),
            "weights": _weights(embedder),
            "suite": ", ".join(suites),
            "peak_memory_mb": peak_memory_mb(),
            "seconds": time.perf_counter() - started,
            "config": config,
            "provenance": provenance(),
            "embedding": run.embedding_record(),
            "geometry": run.geometry(),
            "scored_as": dict(run.scored_as),
            "submissions": run.submissions,
            "left_out": left_out,
            "tasks": [result_to_json(result) for result in results],
        }
        if folder:
            write_json(folder.path / "summary.json", summary)
    if folder:
        folder.forget_embeddings()
    if cache:
        prune(cache_home(), CACHE_CAP_BYTES)
    return Evaluation(results, summary, folder.path if folder else None)


def load(
    suites: Sequence[str],
    tasks: Sequence[str],
    context: TaskContext,
    listener: Listener,
    left_out: dict[str, str] | None = None,
    *,
    swap: bool = False,
) -> list[Loaded]:
    """The questions of every task asked for. UsageError for unknown names or no task at all.

    What cannot be asked is told, and kept in `left_out` {task: why}: a task without questions on this source, and one
    whose public data is not there, unless it was asked for by its own name, which raises that UserError.
    """
    loaded = []
    left_out = {} if left_out is None else left_out
    for spec, source in registry.select(suites, tasks):
        listener.say(f"loading {spec.name}")
        try:
            data = registry.load_task(spec, replace(context, source=context.source or source))
        except UserError as error:
            if spec.name in tasks or not spec.files:
                raise
            left_out[spec.name] = str(error)
            listener.say(f"{spec.name} is left out: {error}")
            continue
        if not data.queries:
            reasons = "; ".join(sorted({skip.reason for skip in data.skipped})[:3]) or "nothing fits it"
            listener.say(f"{spec.name} has no questions on this source and is left out: {reasons}")
            left_out[spec.name] = f"no questions on this source: {reasons}"
            continue
        loaded.append(Loaded(spec, data, controls.query_variants(data, swap=swap)))
    if not loaded and left_out:
        name, why = next(iter(left_out.items()))
        raise UserError(f"none of the {len(left_out)} tasks can be asked; the first, {name}: {why}")
    if not loaded:
        raise UsageError("no task has a question on this source; give another --source or another --task")
    return loaded


def configuration(
    embedder: Adapted, suite: str, loaded: Sequence[Loaded], source: str | None, limit: int | None, seed: int
) -> dict[str, Any]:
    """Everything that decides the predictions: a run folder holds one of these and refuses another."""
    weights = embedder.info.weights
    return {
        "encoder": {
            "name": embedder.info.name,
            "fingerprint": embedder.info.fingerprint,
            "weights": weights.sha256 if weights else None,
            "precision": embedder.info.precision,
            # Without a fingerprint, the code is the best there is to tell one encoder from another.
            "origin": None if embedder.info.fingerprint else dict(embedder.origin),
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
    torch = sys.modules.get("torch")
    gpu = torch.cuda.max_memory_allocated() if torch is not None and torch.cuda.is_available() else 0
    return (_peak_resident_bytes() + gpu) / 2**20


def _peak_resident_bytes() -> int:
    """Linux's own figure for this program alone: getrusage's begins with the peak of whatever started it."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def open_store(embedder: Adapted, folder: RunFolder | None, cache: bool, stack: ExitStack) -> EmbeddingStore:
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
