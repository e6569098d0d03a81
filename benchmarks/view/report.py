"""From run folders to the page: columns read, tasks loaded again for texts and pictures, and what is missing said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import tasks as registry
from benchmarks.report import model_label
from benchmarks.runs import RunFolder
from benchmarks.types import TaskContext, TaskData
from benchmarks.view import columns
from benchmarks.view.columns import Columns, Words
from benchmarks.view.page import build
from benchmarks.view.pictures import Album, Shown, illustrate
from fuselip.core.errors import UserError


@dataclass(frozen=True)
class Options:
    """How many pictures and rows the page holds, and where the tasks' data is where the run does not say."""

    pictures: int = 400
    rows: int | None = None
    source: str | None = None
    data_root: str | None = None
    data: Path | None = None


def render(folders: Sequence[Path], options: Options) -> str:
    """The page of some runs. Raises UserError where a run is not whole, or holds what no run of ours can have."""
    summaries = [RunFolder(folder).summary() for folder in folders]
    words = Words()
    notes: list[str] = []
    tasks: dict[str, list[Columns]] = {}
    shown: dict[str, Shown] = {}
    album = Album(options.pictures)
    names = _shared(summaries)
    for number, name in enumerate(names):
        files = [RunFolder(folder).task(name) / "predictions.parquet" for folder in folders]
        found = [columns.read(file, words, options.rows) for file in files]
        if any(each.queries != found[0].queries for each in found):
            raise UserError(f"the runs ask other questions in {name}; view them apart")
        tasks[name] = found
        data = _load(name, summaries[0], options, notes)
        if data is not None:
            share = -(-(options.pictures - len(album.uris)) // (len(names) - number))
            shown[name] = illustrate(data, found, words, album, share)
    notes += album.failed[:3]
    labels = _labels(folders, summaries)
    return build(labels, summaries, tasks, shown, words.texts, album.uris, notes)


def _shared(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tasks that every run has, on the same data. UserError where there is none."""
    by_run = [{task["name"]: task["data_hash"] for task in summary["tasks"]} for summary in summaries]
    names = [name for name, key in by_run[0].items() if all(found.get(name) == key for found in by_run)]
    if not names:
        raise UserError("these runs share no task on the same data; view them apart")
    return names


def _load(name: str, summary: Mapping[str, Any], options: Options, notes: list[str]) -> TaskData | None:
    """The task as the run had it; None, with a note, where it cannot be had here any more."""
    config = summary.get("config") or {}
    wanted = next(task["data_hash"] for task in summary["tasks"] if task["name"] == name)
    suites = [suite for suite in str(config.get("suite", "")).split(", ") if suite in registry.SUITES]
    source = options.source or config.get("source")
    try:
        rows = registry.select(suites or ["custom"], [name])
        context = TaskContext(
            source=source or rows[0][1],
            data_root=options.data_root,
            limit=config.get("limit"),
            seed=int(config.get("seed") or 0),
            offline=True,
            data=options.data,
        )
        data = registry.load_task(rows[0][0], context)
    except (UserError, TypeError, ValueError) as error:
        notes.append(f"{name} is shown without texts and pictures: {error}")
        return None
    if data.data_hash != wanted:
        notes.append(f"{name} is shown without texts and pictures: its data is not what the run had (other files?)")
        return None
    return data


def _labels(folders: Sequence[Path], summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    labels = [model_label(summary) for summary in summaries]
    twice = len(set(labels)) < len(labels)
    return [f"{label} ({folder.name})" if twice else label for label, folder in zip(labels, folders, strict=True)]
