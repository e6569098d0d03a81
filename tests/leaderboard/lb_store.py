"""Stores filled with made-up scores of the real types: quick, and the same in either engine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.results import Numbers
from leaderboard.copies import Print
from leaderboard.store import About, Store, Submission
from leaderboard.types import AnswerSheet, Badge, Fault, Scored

TASKS = ("tgit/rotate", "tgit/crop")
ODD = "né \"<b>\x00\ud800'; DROP TABLE scores;--"
"""Text that engines, encodings and queries trip over."""


def scored(task: str = TASKS[0], seed: int = 0, units: int = 12, numbers: Numbers | None = None) -> Scored:
    values = np.random.default_rng(seed).random(units)
    keys = [f"q{at:04d}" for at in range(units)]
    sheet = AnswerSheet(task, 1, hashlib.sha256(task.encode()).hexdigest(), "hit@1", ("mrr",), {})
    mean = float(values.mean())
    main = {"value": mean, "low": mean - 0.1, "high": mean + 1 / 3, "chance": 1e-9, "n": units, "clusters": 3}
    made = numbers or Numbers(
        **main,  # type: ignore[arg-type]
        interval="cluster bootstrap",
        controls={"constant": 0.1, "oracle": 1.0, "image_only": None},
        metrics={"mrr": {"value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.2}, "hit@1": {"value": mean}},
        skills={"size": [[2, 0.5], [10, 0.25]]},
        audit={"needs_fusion": None, "reason": ODD.replace("\ud800", "")},
        composition={},
    )
    clusters = tuple(f"image-{at % 3}" for at in range(units))
    return Scored(sheet, {}, made, tuple(keys), clusters, tuple(map(float, values)))


def about(name: str = "made up") -> About:
    return About({"name": name, "organisation": ODD}, {"dim": 8}, {}, {"platform": "any"}, "core", {"inputs": 7})


def fingerprint(seed: int = 0) -> dict[str, Print]:
    places = np.random.default_rng(seed).integers(0, 9, (5, 10)).astype("<i4").tobytes()
    return {TASKS[0]: Print(TASKS[0], "hash", f"{seed:064d}", 0.5, places)}


def put(store: Store, folder: Path, content: bytes) -> Submission:
    """A received submission of these bytes."""
    path = folder / f"upload-{hashlib.sha256(content).hexdigest()[:8]}"
    path.write_bytes(content)
    return store.receive(path)


def accept(store: Store, folder: Path, seed: int, tasks: Sequence[str] = TASKS) -> Submission:
    """One that went all the way."""
    id = put(store, folder, f"bundle {seed}".encode()).id
    assert store.claim(id) is not None
    found = {task: scored(task, seed) for task in tasks}
    told = {"about": about(f"encoder {seed}"), "notes": ["a note"], "prints": fingerprint(seed)}
    return store.accept(id, found, Badge.CONSISTENT, ["odd"], **told)  # type: ignore[arg-type]


def fill(store: Store, folder: Path) -> dict[str, str]:
    """Every state, tokens and challenges; the ids by what they are."""
    text, token = store.token_create(["submit", "read"], 30, "lab")
    assert store.token_check(text, "submit").used
    upload = folder / "upload"
    upload.write_bytes(b"refused")
    refused = store.receive(upload, token)
    assert store.claim(refused.id) is not None
    store.refuse(refused.id, [Fault("bundle", ODD, "mend it")])
    first, second, withdrawn = (accept(store, folder, seed).id for seed in (1, 2, 3))
    store.withdraw(withdrawn)
    waiting = put(store, folder, b"waiting").id
    store.challenge_add("c-open", "123456789", ["scenes/vqa"], "2999-01-01T00:00:00.000000+00:00")
    store.challenge_add("c-used", "987654321", ["scenes/vqa"], "2999-01-01T00:00:00.000000+00:00")
    told = {"public": 0.5, "challenge": 0.4, "gap": 0.1, "low": 0.0, "high": 1 / 3, "credible": True}
    store.challenge_settle("c-used", first, told)
    ids = {"first": first, "second": second, "withdrawn": withdrawn, "waiting": waiting, "refused": refused.id}
    return {**ids, "token": token.id, "text": text}
