"""Real bundles for tests, made in a second: a real run of a cheap encoder of any quality, packed as users do."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tasks as registry
from benchmarks.evaluation import evaluate
from benchmarks.types import TaskContext, TaskData
from fuselip.core import seeds
from fuselip.core.encoder import EncoderInfo, Weights
from fuselip.core.types import Input
from leaderboard.pack import pack

TASKS = ("tgit/rotate", "tgit/crop")
DIM = 32
FUSION = "looks the answer up"
_HELD = tempfile.TemporaryDirectory(prefix="fuselip-bundles-")


class Tuned:
    """Answers with `quality` (0 to 1) of the right answer's vector and noise for the rest: no picture is decoded.

    On TASKS, 0.3 is a third right, 0.5 two thirds, and 0.8 nearly all.

    Equal arguments give equal vectors, in any process; `seed` changes the noise alone.
    """

    def __init__(
        self, quality: float = 0.5, seed: int = 0, tasks: Sequence[str] = TASKS, name: str = "Tuned", weights: str = ""
    ) -> None:
        self.quality, self.seed = quality, seed
        self.info = EncoderInfo(
            name, revision="1", dim=DIM, fusion=FUSION, params=1000, weights=Weights(weights) if weights else None
        )
        self._answers: dict[str, list[str]] = {}
        for task in tasks:
            data = task_data(task)
            for query in data.queries:
                right = [data.candidates[key] for key, grade in query.relevance.items() if grade > 0]
                self._answers.setdefault(query.input.key, []).extend(part.key for one in right for part in one.inputs)

    def encode(self, inputs: Sequence[Input], role: str = "query") -> np.ndarray:
        return np.stack([self._vector(item.key, role) for item in inputs]).astype(np.float32)

    def _vector(self, key: str, role: str) -> np.ndarray:
        if role == "candidate" or key not in self._answers:
            return _unit("input", key)
        right = sum(_unit("input", part) for part in self._answers[key])
        mixed: np.ndarray = self.quality * right + 3 * (1 - self.quality) * _unit("noise", self.seed, key)
        return mixed


def _unit(*name: Any) -> np.ndarray:
    vector = seeds.generator("lb_bundles", *name).standard_normal(DIM)
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


@cache
def task_data(task: str) -> TaskData:
    """The questions of a task of `core`, on that suite's pictures."""
    return registry.load_task(registry.task(task), TaskContext(source=registry.SUITES["core"].source))


def make_run(
    folder: Path,
    quality: float = 0.5,
    seed: int = 0,
    tasks: Sequence[str] = TASKS,
    *,
    name: str = "Tuned",
    **options: Any,
) -> Path:
    """`folder`, now a finished run of `Tuned` on tasks of `core`; equal arguments are run once a process.

    `options`: `weights` (the source that the encoder names: "random"), and those of `evaluate` (limit, quantise, ...).
    """
    made = _run(quality, seed, tuple(tasks), name, tuple(sorted(options.items())))
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


@cache
def _run(quality: float, seed: int, tasks: tuple[str, ...], name: str, options: tuple[tuple[str, Any], ...]) -> Path:
    folder = Path(tempfile.mkdtemp(dir=_HELD.name))
    chosen = dict(options)
    encoder = Tuned(quality, seed, tasks, name, chosen.pop("weights", ""))
    evaluate(encoder, "core", tasks=tasks, output=folder, cache=False, shared=False, **chosen)
    return folder


def make_metadata(name: str = "Tuned", **changes: Any) -> dict[str, Any]:
    """Metadata that fits `Tuned`, with fields changed, added, or taken out (None)."""
    value = {
        "name": name,
        "organisation": "Example Lab",
        "link": "https://example.org/tuned",
        "revision": "1",
        "licence": "MIT",
        "parameters": 1000,
        "dimension": DIM,
        "fusion_policy": FUSION,
        "training_data": "none",
        "contact": "tuned@example.org",
        **changes,
    }
    return {key: part for key, part in value.items() if part is not None}


def make_bundle(
    folder: Path,
    name: str = "Tuned",
    quality: float = 0.5,
    seed: int = 0,
    tasks: Sequence[str] = TASKS,
    **changes: Any,
) -> Path:
    """A bundle in `folder`, of a real run. `changes` are of the metadata. Equal arguments give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    run = _run(quality, seed, tuple(tasks), "Tuned", ())
    stem = f"{''.join(sign if sign.isalnum() else '-' for sign in name)[:40]}-{quality}-{seed}"
    about, out = folder / f"{stem}.json", folder / f"{stem}.zip"
    about.write_text(json.dumps(make_metadata(name, **changes)), encoding="utf-8")
    pack(run, about, out)
    return out
