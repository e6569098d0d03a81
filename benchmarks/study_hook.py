"""What a study measures of a finished run or of shipped weights, by name: values with their intervals and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.corruptions import conditions
from benchmarks.encoders import adapt, resolve
from benchmarks.evaluation import evaluate, load, open_store
from benchmarks.session import Listener, Session, source_of
from benchmarks.types import Result, TaskContext
from fuselip.core.errors import UserError
from fuselip.core.files import read_json

FAMILIES = ("crop", "rotate", "jitter", "flip", "colorize")
TASKS = tuple(f"tgit/{family}" for family in FAMILIES)
SCENES = "scenes:test?count=24&seed=1&size=256"  # six times those of the suite: rows of a study differ by little


def tgit(folder: Path, step: int) -> dict[str, float]:
    """hit@1 of the five families on held-out scenes and their mean, each with /low, /high (95%) and /chance."""
    return _told(evaluate(_encoder(folder), tasks=TASKS, source=SCENES, cache=False, shared=False).results)


def questions(folder: Path, step: int) -> dict[str, float]:
    """As `tgit`, of the ten kinds of questions about held-out scenes (`scenes/vqa-*`)."""
    return _told(evaluate(_encoder(folder), tasks=("scenes/vqa-*",), cache=False, shared=False).results)


def modality(folder: Path, step: int, condition: str) -> dict[str, float]:
    """As `tgit`, with half of every query missing, wrong or corrupted; candidates stay as they are.

    `condition`: "clean" or one of `corruptions.conditions`. All are measured at once, which embeds the candidates once.
    Raises UserError for another, and for one that a family has no query for.
    """
    found = _modality(folder)
    if condition not in found:
        raise UserError(f"the five families cannot be asked with {condition!r}; known: {', '.join(found)}")
    return dict(found[condition])


@lru_cache(maxsize=1)
def _modality(folder: Path) -> Mapping[str, Mapping[str, float]]:
    embedder = adapt(_encoder(folder))
    loaded = load(["custom"], TASKS, TaskContext(SCENES), Listener())
    asked = [
        (name, replace(part, variants={"model": rows}))
        for part in loaded
        for name, rows in conditions(part.data.queries).items()
    ]
    with ExitStack() as stack:
        store = stack.enter_context(open_store(source_of(embedder), None, False, stack))
        results = Session(embedder, [part for _, part in asked], None, store, Listener()).results()
    found: dict[str, list[Result]] = {}
    for (name, _), result in zip(asked, results, strict=True):
        found.setdefault(name, []).append(result)
    return {name: _told(each) for name, each in found.items() if len(each) == len(loaded)}


def _encoder(folder: Path) -> Any:
    """That of a checkpoint folder of a run, whose run.json says which model it is."""
    path = folder.parents[1] / "run.json"
    run = read_json(path)
    model = run.get("config", {}).get("model") if isinstance(run, dict) else None
    if not isinstance(model, str):
        raise UserError(f"{path} does not say which model the run trains")
    return resolve("fuselip.model.encoder:load", {"name": model}, weights=str(folder), device="cpu")


def _told(results: Sequence[Result]) -> dict[str, float]:
    """Each result by its task's name, and "mean", with /low, /high and /chance.

    The mean's interval is the mean of the tasks' bounds: as if they erred together, which is the widest it can be.
    """
    found: dict[str, float] = {}
    for part, suffix in (("value", ""), ("low", "/low"), ("high", "/high"), ("chance", "/chance")):
        values = {result.name: float(getattr(result, part)) for result in results}
        found |= {name + suffix: value for name, value in values.items()}
        found["mean" + suffix] = sum(values.values()) / len(values)
    return found
