"""What a study measures of a finished run or of shipped weights, by name: values with their intervals and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.corruptions import conditions
from benchmarks.encoders import adapt
from benchmarks.evaluation import evaluate, load, open_store
from benchmarks.metrics import METRICS
from benchmarks.ranked import ranked
from benchmarks.run_encoder import run_encoder
from benchmarks.session import Listener, all_items, source_items, source_of
from benchmarks.stats import estimate
from benchmarks.types import Prediction, TaskContext, TaskSpec
from fuselip.core.embed import embed
from fuselip.core.errors import UserError
from fuselip.core.towers import JoinedEmbeddings, Separable

FAMILIES = ("crop", "rotate", "jitter", "flip", "colorize")
TASKS = tuple(f"tgit/{family}" for family in FAMILIES)
SCENES = "scenes:test?count=24&seed=1&size=256"  # six times those of the suite: rows of a study differ by little


def tgit(folder: Path, step: int) -> dict[str, float]:
    """hit@1 of the five families on held-out scenes and their mean, each with /low, /high (95%) and /chance."""
    return _evaluated(folder, TASKS, SCENES)


def turns(folder: Path, step: int) -> dict[str, float]:
    """As `tgit`, of flips and rotations alone: what needs both halves of a query, and is learnt first."""
    return _evaluated(folder, ("tgit/rotate", "tgit/flip"), SCENES)


def questions(folder: Path, step: int) -> dict[str, float]:
    """As `tgit`, of the ten kinds of questions about held-out scenes (`scenes/vqa-*`)."""
    return _evaluated(folder, ("scenes/vqa-*",))


def modality(folder: Path, step: int, condition: str) -> dict[str, float]:
    """As `tgit`, with half of every query missing, wrong or corrupted; candidates stay as they are.

    `condition`: "clean" or one of `corruptions.conditions`. All are measured at once, which embeds the candidates once.
    A family in which it changes nothing (of single words none can be dropped) is asked as it is. Raises UserError for a
    condition that there is not, or that changes nothing at all.
    """
    found = _modality(folder)
    if condition not in found:
        raise UserError(f"the five families cannot be asked with {condition!r}; known: {', '.join(found)}")
    return dict(found[condition])


@lru_cache(maxsize=1)
def _modality(folder: Path) -> Mapping[str, Mapping[str, float]]:
    embedder = adapt(run_encoder(folder))
    loaded = load(["custom"], TASKS, TaskContext(SCENES), Listener())
    parts = [replace(part, variants=conditions(part.data.queries)) for part in loaded]
    with ExitStack() as stack:
        source = source_of(embedder)
        store = stack.enter_context(open_store(source, None, False, stack))
        embeddings = embed(source, source_items(embedder, all_items(parts)), store)
    if isinstance(embedder.encoder, Separable):
        embeddings = JoinedEmbeddings.of(embeddings, embedder.encoder)
    found: dict[str, dict[str, Mapping[str, float]]] = {}
    for part in parts:
        for name, rows in ranked(embedder, part, embeddings).items():
            found.setdefault(name, {})[part.spec.name] = _estimate(part.spec, rows)
    return {name: _told(found["clean"] | each) for name, each in found.items()}


def _estimate(spec: TaskSpec, rows: Sequence[Prediction]) -> Mapping[str, float]:
    """As of a result: by query key, and with its seed."""
    units = METRICS[spec.metric].units(sorted(rows, key=lambda row: row.query))
    found = estimate([unit.value for unit in units], [unit.cluster for unit in units], f"{spec.name}/{spec.metric}")
    chance = float(np.mean([unit.chance for unit in units]))
    return {"value": found.value, "low": found.low, "high": found.high, "chance": chance}


def _evaluated(folder: Path, tasks: Sequence[str], source: str | None = None) -> dict[str, float]:
    results = evaluate(run_encoder(folder), tasks=tasks, source=source, cache=False, shared=False).results
    return _told({result.name: result.metrics[result.metric] for result in results})


def _told(tasks: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The value of each task by name, and their "mean", with /low, /high and /chance.

    The mean's interval is the mean of the tasks' bounds: as if they erred together, which is the widest it can be.
    """
    found: dict[str, float] = {}
    for part, suffix in (("value", ""), ("low", "/low"), ("high", "/high"), ("chance", "/chance")):
        found |= {name + suffix: float(numbers[part]) for name, numbers in tasks.items()}
        found["mean" + suffix] = sum(numbers[part] for numbers in tasks.values()) / len(tasks)
    return found
