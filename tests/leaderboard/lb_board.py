"""Boards of made-up encoders that behave like real ones: skills differ, source images are shared, some tasks lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import stats
from benchmarks.types import TaskSpec
from leaderboard.board import Board
from leaderboard.compose import compose
from leaderboard.entries import Entry, Told, Units
from leaderboard.reported import paper

NAMES = ("tgit/crop", "tgit/rotate", "scenes/vqa-color", "scenes/captions-t2i", "digits/zero-shot", "scenes/edit-add")
CHANCES = (1 / 9, 1 / 18, 0.5, 0.01, 0.1, 1 / 11)


def task_names(count: int) -> list[str]:
    """The first are real names, the rest made up, in the families of the core suite."""
    return [NAMES[at] if at < len(NAMES) else f"{NAMES[at % len(NAMES)]}-{at}" for at in range(count)]


def specs(names: Sequence[str]) -> list[TaskSpec]:
    return [
        TaskSpec(name, 1, "nowhere:at_all", f"made-up questions of {name}", modalities="image+text -> image")
        for name in names
    ]


def units(names: Sequence[str], skill: np.ndarray, seed: int = 0, images: int = 40, each: int = 3) -> dict[str, Units]:
    """Right or wrong, by task: `skill` [rows, tasks] is the normalised score to expect.

    Images of tasks of one family are the same, and some are harder for everybody: units of an image are alike.
    """
    generator = np.random.default_rng(seed)
    found = {}
    hard: dict[str, np.ndarray] = {}
    for at, name in enumerate(names):
        chance, source = CHANCES[at % len(CHANCES)], name.partition("/")[0]
        if source not in hard:
            hard[source] = generator.normal(0, 0.1, images)
        right = np.clip(skill[:, at, None] + np.repeat(hard[source], each), 0, 1)
        values = generator.random(right.shape) < chance + (1 - chance) * right
        clusters = [f"{source}-image-{image}" for image in range(images) for _ in range(each)]
        by_row = {row_id(row): values[row].astype(np.float64) for row in range(len(skill))}
        found[name] = Units(1, f"data-of-{name}", clusters, by_row)
    return found


def row_id(row: int) -> str:
    return f"enc-{row:04d}"


def entries(made: dict[str, Units], rows: int, skip: dict[int, Sequence[str]] | None = None) -> list[Entry]:
    """One per row, with what a verification would have computed; `skip` names tasks that a row lacks."""
    found = []
    for row in range(rows):
        told = [
            _told(name, at, held, row_id(row))
            for at, (name, held) in enumerate(made.items())
            if name not in (skip or {}).get(row, ())
        ]
        found.append(Entry(row_id(row), _metadata(row), _badge(row), "2026-01-02T03:04:05+00:00", told, **_rest(row)))
    return found


def _told(name: str, at: int, held: Units, id_: str) -> Told:
    values, chance = held.values[id_], CHANCES[at % len(CHANCES)]
    value, count = float(values.mean()), stats.count_clusters(held.clusters)
    low, high = stats.wilson(value, count)
    points = [
        {
            "value": angle,
            "n": len(values) // 3,
            "accuracy": float(part.mean()),
            "low": low,
            "high": high,
            "chance": chance,
        }
        for angle, part in zip((10, 20, 30), np.array_split(values, 3), strict=True)
    ]
    numbers: dict[str, Any] = {
        "value": value,
        "low": low,
        "high": high,
        "interval": "cluster bootstrap",
        "chance": chance,
        "n": len(values),
        "clusters": count,
        "skills": {"angle": points},
        "audit": _audit(at, value),
    }
    return Told(name, held.version, held.data_hash, "hit@1", numbers)


def _audit(at: int, value: float) -> dict[str, Any]:
    needs = (True, None, False)[at % 3]
    reason = {True: "no baseline reaches half of what there is above chance", None: "", False: "text only reaches 81.5"}
    return {"blind": {}, "unimodal": {"image_only": value / 2}, "needs_fusion": needs, "reason": reason[needs]}


def _metadata(row: int) -> dict[str, Any]:
    dimension = (384, 512, 768, 1024)[row % 4]
    return {
        "name": f"Encoder {row}",
        "organisation": f"Laboratory {row % 17}",
        "link": f"https://example.org/encoders/{row}",
        "revision": f"v{row}",
        "licence": ("MIT", "Apache-2.0", "CC-BY-NC-4.0")[row % 3],
        "parameters": 20_000_000 * (1 + row % 23),
        "dimension": dimension,
        "fusion_policy": ("early", "sum", "magiclens")[row % 3],
        "training_data": ("CC3M", "CC12M")[row % 2],
        "contact": "someone@example.org",
    }


def _badge(row: int) -> str:
    return ("consistent", "challenged", "re-run")[row % 3]


def _rest(row: int) -> dict[str, Any]:
    return {
        "flags": ["half of its scores are tied"] if row % 50 == 7 else [],
        "provenance": {
            "fuselip": "0.1.0",
            "cpu": "a processor",
            "command": ["x", "run", "--model", f"hf:someone/{row}"],
        },
        "throughput": {"queries_per_second": 10.0 + row % 40, "machine": "a processor, 2 cores"},
        "challenge": {
            "public": 0.6,
            "challenge": 0.58,
            "gap": -0.02,
            "low": -0.05,
            "high": 0.01,
            "credible": True,
            "outcome": {},
        }
        if row % 3 == 1
        else None,
    }


def made(rows: int = 500, tasks: int = 60, seed: int = 0, partial: int = 0) -> Board:
    """A board of `rows` x `tasks`; the last `partial` rows lack the last task. Skill is a row's and a task's."""
    names = task_names(tasks)
    generator = np.random.default_rng(seed)
    skill = np.clip(generator.uniform(0.1, 0.8, (rows, 1)) + generator.normal(0, 0.1, (rows, tasks)), 0, 1)
    found = units(names, skill, seed + 1)
    lacking = dict.fromkeys(range(rows - partial, rows), names[-1:])
    return compose(entries(found, rows, lacking), found, paper(), tasks=specs(names), made={"fuselip": "0.1.0"})


def small() -> Board:
    """Six rows of five tasks, one of which lacks a task: what most tests of pages need."""
    return made(6, 5, seed=3, partial=1)
