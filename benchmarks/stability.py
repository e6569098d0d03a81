"""Stability: the same inputs in other batches, another order, another precision; how much of a result moves with them.

A published number should not depend on how the inputs were batched. Where it does, this says by how much.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.encoders import Adapted
from benchmarks.metrics import METRICS
from benchmarks.ranked import ranked
from benchmarks.results import mean
from benchmarks.session import Listener, Loaded, all_items, source_items, source_of
from benchmarks.types import Prediction
from benchmarks.vectors import unit
from fuselip.core import seeds
from fuselip.core.embed import Embeddings, Item, as_seen_by, plan
from fuselip.core.errors import UserError
from fuselip.core.towers import JoinedEmbeddings, Separable

BATCHES = (1, 3)
IMAGES = 64
"""Images whose ids are compared between precisions."""

Remake = Callable[[str], Adapted]


def stability(
    embedder: Adapted, loaded: Sequence[Loaded], remake: Remake | None = None, listener: Listener | None = None
) -> dict[str, Any]:
    """{"model", "inputs", "settings": [row a setting], "skipped": {setting: why}}; the first row is the usual way.

    A row: "setting"; "max_difference" of any number of any unit vector; "ids_changed", the share of image ids that
    differ (None where the encoder shows none, or only one image at a time); "tasks": {name: {"value", "change" of the
    metric, "first_changed" and "ranks_changed", shares of queries}}. `remake(precision)` gives the same encoder in
    another precision. Every setting encodes everything anew; nothing is read from a cache.
    """
    listener = listener or Listener()
    parts = [replace(part, variants={"model": part.data.queries}) for part in loaded]
    source = source_of(embedder)
    items = (as_seen_by(source.info, item) for item in source_items(embedder, all_items(parts)))
    usual = [list(batch.items) for batch in plan(items, source.limits)]
    base = _encoded(embedder, usual)
    expected = [ranked(embedder, part, base)["model"] for part in parts]
    found: dict[str, Any] = {"model": embedder.info.label, "inputs": len(base.rows), "settings": [], "skipped": {}}

    def measure(setting: str, other: Adapted, batches: Sequence[Sequence[Item]], ids: float | None) -> None:
        listener.say(f"encoding {len(base.rows)} inputs: {setting}")
        here = base if batches is usual and other is embedder else _encoded(other, batches)
        rows = {
            part.spec.name: _moved(part, before, ranked(other, part, here)["model"])
            for part, before in zip(parts, expected, strict=True)
        }
        row = {"setting": setting, "max_difference": _difference(base, here), "ids_changed": ids, "tasks": rows}
        found["settings"].append(row)

    measure(f"as planned ({embedder.info.precision})", embedder, usual, None)
    for setting, batches in _batchings(usual, min(embedder.limits.images, embedder.limits.inputs)):
        measure(setting, embedder, batches, None)
    precision = "bf16" if embedder.info.precision == "fp32" else "fp32"
    try:
        if remake is None:
            raise UserError("this encoder cannot be made in another precision here")
        other = remake(precision)
    except UserError as error:
        found["skipped"][precision] = str(error)
        return found
    measure(precision, other, usual, _ids_changed(embedder, other, usual))
    return found


def _batchings(usual: Sequence[Sequence[Item]], size: int) -> Iterator[tuple[str, list[list[Item]]]]:
    items = [item for batch in usual for item in batch]
    for count in BATCHES:
        yield f"batches of {count}", _cut(items, count)
    yield "reversed", _cut(items[::-1], size)
    shuffled = random.Random(seeds.derive("stability")).sample(items, len(items))
    yield "shuffled", _cut(shuffled, size)


def _cut(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _encoded(embedder: Adapted, batches: Sequence[Sequence[Item]]) -> Embeddings:
    """Every batch in a call of its own for each role and instruction in it, its items in the order given."""
    source, rows = source_of(embedder), dict[str, np.ndarray]()
    for batch in batches:
        by_call = sorted(batch, key=lambda item: (item.role, item.instruction))
        for (role, instruction), group in groupby(by_call, key=lambda item: (item.role, item.instruction)):
            items = list(group)
            prepared = source.prepare([item.input for item in items])
            vectors = source.encode(prepared, role=role, instruction=instruction)
            rows.update(zip((item.key for item in items), vectors, strict=True))
    found = Embeddings(len(next(iter(rows.values()))), rows, {})
    return JoinedEmbeddings.of(found, embedder.encoder) if isinstance(embedder.encoder, Separable) else found


def _difference(base: Embeddings, other: Embeddings) -> float:
    rows = [(vector, other.rows[key]) for key, vector in base.rows.items()]
    before, after = (unit(np.stack([pair[side] for pair in rows])) for side in (0, 1))
    return float(np.abs(before - after).max())


def _moved(part: Loaded, before: Sequence[Prediction], after: Sequence[Prediction]) -> dict[str, float]:
    metric = METRICS[part.spec.metric]
    pairs = list(zip(before, after, strict=True))
    values = [mean(metric, [row for row in rows if row.targets]) for rows in (before, after)]
    return {
        "value": values[1],
        "change": values[1] - values[0],
        "first_changed": float(np.mean([one.top[0][0] != other.top[0][0] for one, other in pairs])),
        "ranks_changed": float(np.mean([_ranks(one) != _ranks(other) for one, other in pairs])),
    }


def _ranks(prediction: Prediction) -> set[tuple[str, int, int]]:
    return {(target.key, target.above, target.tied) for target in prediction.targets}


def _ids_changed(first: Adapted, second: Adapted, batches: Sequence[Sequence[Item]]) -> float | None:
    """Share of image ids that differ between two encoders, on up to 64 of the images; None where they show no ids."""
    tokenize = [getattr(each.encoder, "tokenize_image", None) for each in (first, second)]
    images = {item.input.image.key: item.input.image for batch in batches for item in batch if item.input.image}
    if None in tokenize or not images:
        return None
    chosen = [images[key] for key in sorted(images)[:IMAGES]]
    ids = [np.array([each(image) for image in chosen]) for each in tokenize if each]
    return float(np.mean(ids[0] != ids[1]))


def to_text(found: dict[str, Any]) -> str:
    """A row a setting and task."""
    from benchmarks.listing import columns

    rows = [("setting", "task", "score", "change", "first changed", "ranks changed", "max |diff|", "ids changed")]
    for row in found["settings"]:
        ids = "n/a" if row["ids_changed"] is None else f"{row['ids_changed']:.2%}"
        for task, each in row["tasks"].items():
            shares = (f"{each[name]:.1%}" for name in ("first_changed", "ranks_changed"))
            score = (f"{100 * each['value']:.2f}", f"{100 * each['change']:+.2f}")
            rows.append((row["setting"], task, *score, *shares, f"{row['max_difference']:.1e}", ids))
    text = f"{columns([(found['model'], str(found['inputs']) + ' inputs')])}{columns(rows)}"
    return text + columns([(f"not tried: {setting}: {why}",) for setting, why in found["skipped"].items()])
