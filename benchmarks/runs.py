"""A run's folder: one configuration, one writer, and results that are whole or absent.

RUN/run.json                          configuration and provenance
RUN/tasks/<name>/predictions.parquet  what each query got, for every variant
RUN/tasks/<name>/result.json          what is told of the task; written last, so it marks the task as finished
RUN/tasks/<name>/submission.json      for the publisher's server, in place of a result, where it holds the answers
RUN/summary.json                      all results; written when every task is finished
RUN/embeddings/                       vectors of an encoder without a fingerprint, for resuming this run alone
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.results import result_from_json, result_to_json
from benchmarks.types import Result
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import lock, read_json, write_json
from fuselip.core.types import content_hash

SCHEMA = 1
OURS = {"run.json", "summary.json", "tasks", "embeddings", ".lock"}


class RunFolder:
    """The files of one run. `open` claims the folder for one configuration and one process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def open(self, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder. UsageError where it holds another configuration, other files, or a live run."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file; --output names a folder")
        with lock(self.path / ".lock", f"{self.path} belongs to a run that is still going on; wait for it to end"):
            strangers = sorted(part.name for part in self.path.iterdir() if part.name not in OURS)
            if strangers and not (self.path / "run.json").exists():
                raise UsageError(
                    f"{self.path} holds other files ({', '.join(strangers[:3])}); choose a new or empty --output folder"
                )
            self._claim(config, provenance)
            yield

    def _claim(self, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        path = self.path / "run.json"
        if not path.exists():
            write_json(path, {"schema": SCHEMA, "config": config, "provenance": provenance})
            return
        found = read_json(path)
        held = found.get("config") if isinstance(found, dict) else None
        if not isinstance(held, dict) or content_hash(held) != content_hash(dict(config)):
            raise UsageError(
                f"{self.path} holds another run ({_difference(held, config)}); "
                "choose another --output, or delete that folder"
            )

    def task(self, name: str) -> Path:
        return self.path / "tasks" / name.replace("/", "__")

    def submission(self, name: str) -> Path:
        """What the publisher's server takes, of a task whose answers it holds."""
        return self.task(name) / "submission.json"

    def finished(self, name: str) -> Result | None:
        """The task's result where an earlier session of this run finished it."""
        folder = self.task(name)
        if not (folder / "result.json").exists() or not (folder / "predictions.parquet").exists():
            return None
        return result_from_json(read_json(folder / "result.json"), folder / "result.json")

    def finish(self, result: Result) -> None:
        write_json(self.task(result.name) / "result.json", result_to_json(result))

    def forget_embeddings(self) -> None:
        """A finished run needs its own vectors no more."""
        shutil.rmtree(self.path / "embeddings", ignore_errors=True)

    def summary(self) -> dict[str, Any]:
        """The finished run's summary. UserError where there is none yet."""
        if not self.path.is_dir():
            raise UserError(f"there is no run at {self.path}; `fuselip-bench run --output {self.path}` makes one")
        if not (self.path / "summary.json").exists():
            raise UserError(
                f"{self.path} has no summary.json: the run is not finished; give its command again to resume it"
            )
        summary = read_json(self.path / "summary.json")
        if (
            not isinstance(summary, dict)
            or summary.get("schema") != SCHEMA
            or not isinstance(summary.get("tasks"), list)
        ):
            raise UserError(
                f"{self.path / 'summary.json'} is not a summary of schema {SCHEMA}; it was made by another version"
            )
        return summary


def _difference(held: Any, wanted: Mapping[str, Any], where: str = "") -> str:
    """The first setting that differs, in words."""
    if not isinstance(held, dict):
        return "its run.json is not readable"
    for key in sorted({*held, *wanted}):
        old, new = held.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, Mapping) and content_hash(old) != content_hash(dict(new)):
            return _difference(old, new, f"{where}{key}.")
        if old != new:
            return f"{where}{key} was {old!r}, is now {new!r}"
    return "its settings differ"
