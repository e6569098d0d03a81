"""The audit of tasks: what blind baselines score and, given an encoder, what half a query or a wrong image does."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import blind, controls, shortcuts
from benchmarks import tasks as registry
from benchmarks.encoders import Adapted, adapt
from benchmarks.evaluation import open_store
from benchmarks.metrics import METRICS
from benchmarks.report import clean, percent
from benchmarks.session import Listener, Loaded, Session, source_of
from benchmarks.stats import count_clusters
from benchmarks.types import Result, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError

_HEADS = {
    "characters": "charac-\nters",
    "bag_of_words": "bag of\nwords",
    "box_area": "box\narea",
    "image_only": "image\nonly",
    "text_only": "text\nonly",
    "swapped_image": "swapped\nimage",
}
_NEEDS = {True: "yes", False: "no", None: "?"}


@dataclass
class Audit:
    """What was found of each task, as plain data (values are shares in [0, 1]), and what could not be audited."""

    tasks: list[dict[str, Any]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """{"tasks": [...]}, with {"errors": [{name, error}]} where there are any."""
        errors = [{"name": name, "error": error} for name, error in self.errors.items()]
        return {"tasks": self.tasks, **({"errors": errors} if errors else {})}


def audit(
    patterns: Sequence[str], context: TaskContext, encoder: Any = None, *, listener: Listener | None = None
) -> Audit:
    """Audit the tasks that the patterns name. UsageError for a pattern that names none.

    Without an encoder, tasks on public data are read blind: their annotation files are enough. A task that cannot be
    read, or whose answers a server holds, is an entry of `errors`; the others go on.
    """
    listener, found = listener or Listener(), Audit()
    loaded: list[Loaded] = []
    for spec, source in registry.select(["custom"], patterns):
        try:
            listener.say(f"loading {spec.name}")
            public = bool(spec.files) and encoder is None
            data = registry.load_task(spec, replace(context, source=context.source or source, blind=public))
            _check(spec, data)
        except UserError as error:
            found.errors[spec.name] = str(error)
            continue
        if encoder is None:
            found.tasks.append(_blindly(spec, data))
        else:
            loaded.append(Loaded(spec, data, controls.query_variants(data, swap=True)))
    if loaded:
        embedder = adapt(encoder)
        with ExitStack() as stack:
            store = stack.enter_context(open_store(source_of(embedder), None, True, stack))
            results = Session(embedder, loaded, None, store, listener).results()
        found.tasks = [_with_model(part.spec, embedder, result) for part, result in zip(loaded, results, strict=True)]
    return found


def _check(spec: TaskSpec, data: TaskData) -> None:
    """UserError where there is nothing that could be scored here."""
    if not data.queries:
        reasons = "; ".join(sorted({skip.reason for skip in data.skipped})[:3]) or "nothing fits it"
        raise UserError(f"{spec.name} has no questions on this source: {reasons}")
    if not any(query.relevance for query in data.queries):
        raise UserError(f"{spec.name}: its answers are held by its server, so that nothing can be scored here")


def _blindly(spec: TaskSpec, data: TaskData) -> dict[str, Any]:
    metric = METRICS[spec.metric]
    # By query key and without what a server scores, as in `results.numbers`: a run's audit has the same digits.
    scored = {
        name: sorted((row for row in rows if row.targets), key=lambda row: row.query)
        for name, rows in (blind.predictions(data) or {"oracle": controls.oracle(data)}).items()
    }
    units = metric.units(next(iter(scored.values())))  # any ranking has the questions and their chance
    return {
        **_head(spec, data.data_hash),
        "n": len(units),
        "clusters": count_clusters([unit.cluster for unit in units]),
        "chance": float(np.mean([unit.chance for unit in units])),
        **shortcuts.audit(metric, scored, spec.name),
        "partial": dict(spec.partial),
    }


def _with_model(spec: TaskSpec, embedder: Adapted, result: Result) -> dict[str, Any]:
    return {
        **_head(spec, result.data_hash),
        "n": result.n,
        "clusters": result.clusters,
        "chance": result.chance,
        **result.audit,
        "partial": dict(spec.partial),
        "model": {"label": embedder.info.label, "value": result.value, "low": result.low, "high": result.high},
        "composition": dict(result.composition),
    }


def _head(spec: TaskSpec, data_hash: str) -> dict[str, Any]:
    return {"name": spec.name, "version": spec.version, "data_hash": data_hash, "metric": spec.metric}


def to_text(found: Audit, width: int) -> str:
    """A table in percent, what stands out, and what could not be audited; ends with a newline."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    if found.tasks:
        console.print(_table(found.tasks))
    for note in _notes(found):
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(tasks: Sequence[Mapping[str, Any]]) -> Table:
    rows = [{**task["blind"], **task["unimodal"]} for task in tasks]
    shown = [name for name in _HEADS if any(name in row for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("task", overflow="fold")
    model = any("model" in task for task in tasks)
    for head in ["n", "chance", *(_HEADS[name] for name in shown), *["model"] * model, "needs\nfusion"]:
        table.add_column(head, justify="right", no_wrap=True)
    for task, row in zip(tasks, rows, strict=True):
        scores = [percent(row.get(name)) for name in shown]
        scores += [percent(task["model"]["value"])] if model else []
        cells = [clean(task["name"]), str(task["n"]), percent(task["chance"]), *scores, _NEEDS[task["needs_fusion"]]]
        table.add_row(*map(Text, cells))
    return table


def _notes(found: Audit) -> list[str]:
    legend = "in percent of n questions; n/a: does not apply; ?: needs --model, or queries have one modality"
    notes = [legend] * bool(found.tasks)
    for task in found.tasks:
        name = clean(task["name"])
        if task["needs_fusion"] is False:
            notes.append(f"{name} needs no fusion: {clean(task['reason'])}")
        notes += [f"{name}: {clean(skill)} scores {percent(value)}" for skill, value in task["partial"].items()]
        if gap := task.get("composition"):
            points, low, high = (f"{100 * gap[part]:+.1f}" for part in ("gap", "low", "high"))
            notes.append(f"{name}: {points} points [{low}, {high}] against {clean(gap['part'].replace('_', ' '))}")
    return notes + [f"{clean(name)} was not audited: {clean(error)}" for name, error in found.errors.items()]
