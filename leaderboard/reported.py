"""Reported rows: the FuseLIP paper's table, shown beside ours and never compared, ranked or averaged with it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec

from benchmarks.published import COLUMNS, DATA, MODELS, SOURCE, published
from leaderboard.board import Coverage, Family, Row, Score, Task
from leaderboard.compose import BYTES
from leaderboard.entries import Reported
from leaderboard.types import Badge

FAMILY = "paper"


def paper() -> Reported:
    """The published rows (`benchmarks.published`: shares, one decimal of a percent, no intervals) as rows of the board.

    Sizes and fusion are those of the reference code's state dicts (each tensor counted once), from data/paper.json.
    """
    about = msgspec.json.decode(resources.files("leaderboard").joinpath("data/paper.json").read_bytes())
    tasks = [_column(key) for key in COLUMNS]
    family = Family(FAMILY, "As the paper prints it: not comparable", [task.name for task in tasks])
    return Reported(family, tasks, [_row(about, model, data) for data in DATA for model in MODELS])


def _column(key: str) -> Task:
    column = COLUMNS[key]
    mean = f", the mean of {column.count} tasks" if column.count > 1 else ""
    note = f" ({column.note})" if column.note else ""
    return Task(
        name=f"{FAMILY}/{key}",
        version=0,
        data_hash="",
        family=FAMILY,
        metric="hit@1",
        chance=None,
        n=0,
        clusters=0,
        needs_fusion=None,
        audit="",
        description=f"{column.title} as the paper prints it{mean}{note}",
        modalities="",
        counted=False,
    )


def _row(about: Mapping[str, Any], model: str, data: str) -> Row:
    known = about["models"][model]
    figures = published(model, data)
    return Row(
        id=f"{FAMILY}-{model}-{data}",
        name=known["name"],
        link=about["link"],
        parameters=known["parameters"],
        dimension=known["dimension"],
        embedding_bytes=known["dimension"] * BYTES,
        fusion_policy=known["fusion_policy"],
        training_data=about["data"][data],
        badge=Badge.REPORTED.value,
        comparable=False,
        coverage=Coverage(0, 0),
        scores={f"{FAMILY}/{key}": Score(round(percent / 100, 4)) for key, percent in figures.items()},
        source=SOURCE,
    )
