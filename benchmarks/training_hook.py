"""Measurements during training, by name: `hook.call=benchmarks.training_hook:tgit` of a `fuselip train` run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.encoders import resolve
from benchmarks.evaluation import evaluate
from fuselip.core.errors import UserError
from fuselip.core.files import read_json


def tgit(folder: Path, step: int) -> dict[str, float]:
    """hit@1 of the five families on held-out scenes, and their mean, of the checkpoint in `folder`."""
    return _scores(folder, ("tgit-scenes/*",))


def core(folder: Path, step: int) -> dict[str, float]:
    """hit@1 (or the task's own metric) of every drawn task of the suite `core`, and the mean of all."""
    return _scores(folder, ("tgit-scenes/*", "tgit-textures/*", "scenes/*"))


def _scores(folder: Path, tasks: tuple[str, ...]) -> dict[str, float]:
    path = folder.parents[1] / "run.json"
    run = read_json(path)
    model = run.get("config", {}).get("model") if isinstance(run, dict) else None
    if not isinstance(model, str):
        raise UserError(f"{path} does not say which model the run trains")
    encoder = resolve(model, weights=str(folder), device="cpu")
    results = evaluate(encoder, tasks=tasks, cache=False, shared=False).results  # the other processes wait for it
    found = {result.name: result.value for result in results}
    return {**found, "mean": sum(found.values()) / len(found)}
