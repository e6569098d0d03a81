"""The checks of a task: is it the same each time, can it be read, and can it be won without knowing anything?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks import controls
from benchmarks.metrics import METRICS
from benchmarks.results import mean
from benchmarks.shortcuts import audit
from benchmarks.tasks import load_task
from benchmarks.testing.contract import Finding
from benchmarks.types import TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError

PICTURES = 12


def check_task(spec: TaskSpec, context: TaskContext | None = None) -> list[Finding]:
    """Examine a task by its row, on the pictures and data of `context`. Nothing the loader raises gets out."""
    context = context or TaskContext(source="photos:quick")
    try:
        data, again = load_task(spec, context), load_task(spec, context)
        if not data.queries:
            return [Finding("questions", "fail", "there are none", "a loader without questions says why in `skipped`")]
        return list(_findings(spec, data, again))
    except Exception as error:  # a loader of somebody else's can raise anything
        hint = "" if isinstance(error, UserError) else "what a user can mend is a fuselip.core.errors.UserError"
        return [Finding("loads", "fail", f"{type(error).__name__}: {error}", hint)]


def _findings(spec: TaskSpec, data: TaskData, again: TaskData) -> Iterator[Finding]:
    told = f"{len(data.queries)} questions, {len(data.candidates)} candidates, {len(data.skipped)} skipped"
    yield Finding("loads", "ok", told)
    if data.data_hash == again.data_hash:
        yield Finding("loads the same twice", "ok", data.data_hash[:12])
    else:
        mend = "draw by fuselip.core.seeds from names, never from a global generator"
        yield Finding("loads the same twice", "fail", "two loads differ", mend)
    for what, found in (("queries", len(data.queries)), ("candidates", len(data.candidates))):
        known = spec.counts.get(what, found)
        if known != found:
            yield Finding("counts", "fail", f"{found} {what} where the row says {known}", "mend the row or the loader")
    yield from _pictures(data)
    yield from _controls(spec, data)
    alone = sum(not query.cluster for query in data.queries)
    if alone and any(query.input.image for query in data.queries):
        mend = "name its source picture in `cluster`: questions on one picture are not independent"
        yield Finding("clusters", "warn", f"{alone} questions name none", mend)


def _pictures(data: TaskData) -> Iterator[Finding]:
    parts = [part for candidate in data.candidates.values() for part in candidate.inputs]
    images = {item.image.key: item.image for item in [*(q.input for q in data.queries), *parts] if item.image}
    sample = [images[key] for key in sorted(images)[:: max(1, len(images) // PICTURES)]]
    for image in sample:
        try:
            image.load()
        except UserError as error:
            yield Finding("pictures", "fail", str(error), "a loader skips what cannot be read, and says so")
            return
    if images:
        yield Finding("pictures", "ok", f"{len(sample)} of {len(images)} opened")


def _controls(spec: TaskSpec, data: TaskData) -> Iterator[Finding]:
    if not any(query.relevance for query in data.queries):
        yield Finding("answers", "ok", "held by a server: not scored here")
        return
    metric = METRICS.get(spec.metric)
    if metric is None:
        yield Finding("metric", "fail", f"there is no {spec.metric!r}", f"known: {', '.join(METRICS)}")
        return
    variants = {name: [row for row in rows if row.targets] for name, rows in controls.predictions(data).items()}
    units = metric.units(variants["constant"])
    far = max(abs(unit.value - unit.chance) for unit in units)
    chance = float(np.mean([unit.chance for unit in units]))
    fair = far < 1e-9
    if fair:
        yield Finding("constant", "ok", f"a constant encoder scores chance, {100 * chance:.1f}%")
    else:
        yield Finding(
            "constant", "fail", f"a constant encoder is off chance by {far:.2g}", "report this: scoring leaks"
        )
    best = mean(metric, variants["oracle"])
    mend = "" if best > 0.999 else "some answers share their content with wrong candidates"
    yield Finding("oracle", "ok" if best > 0.999 else "warn", f"the best possible score is {100 * best:.1f}%", mend)
    found = audit(metric, {**variants, "model": variants["random"]}, spec.name)
    if found["needs_fusion"] is False:
        yield Finding("blind", "warn", str(found["reason"]), "balance what wrong and right candidates look like")
    elif found["blind"]:
        told = ", ".join(f"{name} {100 * value:.1f}%" for name, value in found["blind"].items())
        yield Finding("blind", "ok", told)
