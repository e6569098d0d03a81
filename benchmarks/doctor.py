"""Can the tasks run here? Which of their files are there, complete and as they were fetched, and what is installed."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from benchmarks.fetch import by_program, find
from benchmarks.fetched import NAME, Record, difference
from benchmarks.tasks import load_task
from benchmarks.types import DataFile, TaskContext, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.provenance import version

State = Literal["intact", "there", "empty", "missing", "changed"]
_REQUIREMENT = re.compile(r"^([\w.-]+)[^;]*;\s*extra == [\"']([\w-]+)[\"']")


@dataclass(frozen=True)
class FileReport:
    """One file or folder of a task. "there": present, but not fetched by us, so that its content is not known."""

    path: str
    place: str
    state: State
    note: str = ""

    @property
    def usable(self) -> bool:
        return self.state in ("intact", "there")


@dataclass(frozen=True)
class TaskReport:
    """`fault`: why the questions cannot be read (incomplete or other files); "" where they can, or were not tried."""

    name: str
    files: tuple[FileReport, ...]
    queries: int | None
    fault: str = ""

    @property
    def runnable(self) -> bool:
        return not self.fault and all(file.usable for file in self.files)


def examine(specs: Sequence[TaskSpec], root: Path, quick: bool = False) -> list[TaskReport]:
    """A report on every task. Nothing is fetched, and no picture is decoded; `quick` compares sizes, not hashes.

    Raises UserError for a damaged record of what was fetched.
    """
    record = Record(root)
    seen: dict[str, FileReport] = {}
    reports = []
    for spec in specs:
        for file in spec.files:
            if file.path not in seen:
                seen[file.path] = _file(spec, file, root, record, quick)
        reports.append(_task(spec, tuple(seen[file.path] for file in spec.files), root))
    return reports


def _file(spec: TaskSpec, file: DataFile, root: Path, record: Record, quick: bool) -> FileReport:
    place = find(spec, file, root)
    if place is None:
        where = f"`fuselip-bench fetch {spec.name}` gets it from {file.url}" if by_program(file) else file.how
        return FileReport(file.path, str(root / file.path), "missing", where or "copy it there from its publisher")
    if place.is_dir() and not any(place.iterdir()):
        return FileReport(file.path, str(place), "empty", file.how or f"delete it and fetch it from {file.url}")
    entry = record.get(file.path)
    if entry is None:
        return FileReport(file.path, str(place), "there", f"not in {NAME}: its content is not known")
    fault = difference(place, entry, quick)
    return FileReport(file.path, str(place), "changed" if fault else "intact", fault)


def _task(spec: TaskSpec, files: tuple[FileReport, ...], root: Path) -> TaskReport:
    annotations = {file.path for file in spec.files if file.annotations}
    readable = all(file.usable for file in files if file.path in annotations or not annotations)
    if not files or not readable:  # tasks without files draw their questions from whatever pictures they are given
        return TaskReport(spec.name, files, None)
    try:
        data = load_task(spec, TaskContext(data=root, blind=True, offline=True))
    except UserError as error:
        return TaskReport(spec.name, files, None, str(error))
    return TaskReport(spec.name, files, len(data.queries), "" if data.queries else "its files hold no question")


def environment() -> dict[str, Any]:
    """Versions, and of each extra of ours what is lacking; nothing is imported for it."""
    lacking: dict[str, list[str]] = {}
    for line in metadata.requires("fuselip") or ():
        if (found := _REQUIREMENT.match(line)) and found[1] != "fuselip":
            lacking.setdefault(found[2], []).extend([] if version(found[1]) else [found[1]])
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "fuselip": version("fuselip"),
        "torch": version("torch"),
        "extras": {extra: sorted(set(names)) for extra, names in sorted(lacking.items())},
    }
