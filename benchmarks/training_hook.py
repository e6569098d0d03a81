"""Measurements during training, by name: `hook.call=benchmarks.training_hook:tgit` of a `fuselip train` run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import stats
from benchmarks.encoders import resolve
from benchmarks.evaluation import evaluate
from benchmarks.run_encoder import LOAD, run_config, run_encoder
from datagen.sources.scenes import Scenes
from fuselip.core.errors import UserError
from fuselip.core.types import Input

PICTURES = 500  # of held-out scenes, on which a student is compared with its teacher


def tgit(folder: Path, step: int) -> dict[str, float]:
    """hit@1 of the five families on held-out scenes, and their mean, of the checkpoint in `folder`."""
    return _scores(folder, ("tgit-scenes/*",))


def core(folder: Path, step: int) -> dict[str, float]:
    """hit@1 (or the task's own metric) of every drawn task of the suite `core`, and the mean of all."""
    return _scores(folder, ("tgit-scenes/*", "tgit-textures/*", "scenes/*"))


def distillation(folder: Path, step: int) -> dict[str, float]:
    """How near a TokLIP comes to its teacher (`distil.teacher`) on pictures of held-out scenes, with 95% intervals.

    "cosine": of the two vectors of a picture; "mean": the share of pictures whose vector is nearest to the teacher's
    of the same picture, among those of all. Raises UserError for a run without a teacher that is a model of ours.
    """
    name = run_config(folder).get("distil", {}).get("teacher", "")
    if not name or "/" in name:
        raise UserError(f"distil.teacher of this run is {name!r}; only a model with shipped weights can be compared")
    scenes = Scenes("test", PICTURES, seed=7)
    pictures = [Input("", scenes.item(number).image) for number in range(PICTURES)]
    teacher = resolve(LOAD, {"name": name}, weights="bundled", device="cpu")
    student_ND, teacher_ND = (_unit(encoder.encode(pictures)) for encoder in (run_encoder(folder), teacher))
    cosine_NN = student_ND @ teacher_ND.T
    own_N = np.diag(cosine_NN).astype(np.float64)
    low, high = stats.bootstrap(own_N, np.ones(PICTURES), "distillation")
    hits = (cosine_NN.argmax(axis=1) == np.arange(PICTURES)).astype(float)
    found = stats.estimate(hits.tolist(), [str(number) for number in range(PICTURES)], "distillation")
    told = {"cosine": float(own_N.mean()), "cosine/low": low, "cosine/high": high, "mean": found.value}
    return {**told, "mean/low": found.low, "mean/high": found.high, "mean/chance": 1 / PICTURES}


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _scores(folder: Path, tasks: tuple[str, ...]) -> dict[str, float]:
    encoder = run_encoder(folder)
    results = evaluate(encoder, tasks=tasks, cache=False, shared=False).results  # the other processes wait for it
    found = {result.name: result.value for result in results}
    return {**found, "mean": sum(found.values()) / len(found)}
