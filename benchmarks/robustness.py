"""Robustness: the score where half of a question is missing or its picture or text is corrupted, against the clean one.

The candidates stay as they are, and differences are paired: the same questions, asked twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import paired, stats
from benchmarks.corruptions import ABOUT, changed, variants
from benchmarks.encoders import Adapted
from benchmarks.evaluation import open_store
from benchmarks.metrics import METRICS, Unit
from benchmarks.ranked import ranked
from benchmarks.session import Listener, Loaded, all_items, source_items, source_of
from benchmarks.types import Prediction
from fuselip.core.embed import Embeddings, embed
from fuselip.core.errors import UserError
from fuselip.core.towers import JoinedEmbeddings, Separable


def robustness(
    embedder: Adapted, loaded: Sequence[Loaded], listener: Listener | None = None, cache: bool = True
) -> dict[str, Any]:
    """{"model", "tasks": {name: {"metric", "n", "chance", "rows": [row]}}}, the clean questions in the first row.

    A row: "variant", "about", "corrupted" (the number of questions that it changes), "value", "low", "high", and
    against clean "difference", "difference_low", "difference_high" (95%, paired, by cluster).
    Raises UserError for a task whose answers are held by a server.
    """
    parts = [replace(part, variants=variants(part.data.queries)) for part in loaded]
    embeddings = _embedded(embedder, parts, listener or Listener(), cache)
    return {
        "model": embedder.info.label,
        "tasks": {part.spec.name: _task(part, ranked(embedder, part, embeddings)) for part in parts},
    }


def _embedded(embedder: Adapted, parts: Sequence[Loaded], listener: Listener, cache: bool) -> Embeddings:
    source, items = source_of(embedder), source_items(embedder, all_items(parts))
    with ExitStack() as stack:
        store = stack.enter_context(open_store(source, None, cache, stack))
        found = embed(source, items, store, listener.progress)
    return JoinedEmbeddings.of(found, embedder.encoder) if isinstance(embedder.encoder, Separable) else found


def _task(part: Loaded, predictions: dict[str, list[Prediction]]) -> dict[str, Any]:
    name, metric = part.spec.name, METRICS[part.spec.metric]
    units = {variant: metric.units([row for row in rows if row.targets]) for variant, rows in predictions.items()}
    clean = units["clean"]
    if not clean:
        raise UserError(f"{name} has no known answers: its server scores it, and nothing can be said of it here")
    rows = [
        {
            "variant": variant,
            "about": ABOUT.get(variant, "as they are"),
            "corrupted": changed(part.data.queries, part.variants[variant]),
            **_numbers(clean, found, f"robustness/{name}/{variant}"),
        }
        for variant, found in units.items()
    ]
    chance = float(np.mean([unit.chance for unit in clean]))
    return {"metric": part.spec.metric, "n": len(clean), "chance": chance, "rows": rows}


def _numbers(clean: Sequence[Unit], found: Sequence[Unit], seed_name: str) -> dict[str, float]:
    score = stats.estimate([unit.value for unit in found], [unit.cluster for unit in found], seed_name)
    apart = paired.interval(*paired.changes(clean, found), seed_name)
    return {
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "difference": apart.value,
        "difference_low": apart.low if found is not clean else 0.0,
        "difference_high": apart.high if found is not clean else 0.0,
    }


def to_text(found: dict[str, Any]) -> str:
    """A table a task, in percent."""
    from benchmarks.listing import columns

    text = columns([(found["model"],)])
    for name, task in found["tasks"].items():
        text += columns([(f"\n{name}: {task['metric']} of {task['n']}, chance {100 * task['chance']:.1f}",)])
        rows = [("", "score [95%]", "against clean [95%]", "corrupted", "")]
        for row in task["rows"]:
            value, low, high = (f"{100 * row[key]:.1f}" for key in ("value", "low", "high"))
            apart, least, most = (f"{100 * row['difference' + key]:+.1f}" for key in ("", "_low", "_high"))
            against = "" if row["variant"] == "clean" else f"{apart} [{least}, {most}]"
            rows.append((row["variant"], f"{value} [{low}, {high}]", against, str(row["corrupted"]), row["about"]))
        text += columns(rows)
    return text
