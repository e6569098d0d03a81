"""Building a set: list the source, make the shards that are missing, and when all stand, complete the folder."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen import complete, engines, output
from datagen.items import digest
from datagen.making import make_shard
from datagen.output import Record
from datagen.plan import Config, Job, Task, chunks
from datagen.sources.types import Source
from fuselip.core.errors import UsageError, UserError
from fuselip.core.provenance import provenance

# A source this small is looked at whole before the share of bad items means anything.
FIRST_ERRORS = 20


# (a finished shard's record, whether its source items have changed since) -> make it anew?
Again = Callable[[Record, bool], bool]


@dataclass
class Summary:
    """What a set holds so far; `made` counts what this session added."""

    counts: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def add(self, record: Record, fresh: bool) -> None:
        self.counts.update(record.counts)
        self.rejects.update(record.rejects)
        self.errors += record.errors
        self.bytes += sum(entry["bytes"] for entry in record.files.values())
        if fresh:
            self.made.update(record.counts)


class Listener:
    """What a caller may want to be told; silent by itself."""

    def progress(self, summary: Summary, total: int | None) -> None:
        """After every shard; `total` source items, None while they are still being counted."""


@dataclass(frozen=True)
class Budget:
    """How many bad items are too many: a share of the items seen (below 1) or a number of them. Raises UsageError."""

    limit: float = 0.5

    def __post_init__(self) -> None:
        if not self.limit >= 0:
            raise UsageError(f"--max-errors {self.limit}: it is a share (0.5) or a number (1000) of items")

    def check(self, summary: Summary) -> None:
        seen = summary.counts["items"]
        allowed = self.limit if self.limit >= 1 or not self.limit else max(self.limit * seen, FIRST_ERRORS)
        if summary.errors > allowed:
            reasons = ", ".join(f"{reason} {count}" for reason, count in summary.rejects.most_common(4))
            raise UserError(
                f"{summary.errors} of {seen} source items are bad ({reasons}), more than --max-errors {self.limit:g}; "
                "see rejects/ for each, mend the source, or raise --max-errors and give the same command again"
            )


def build(
    config: Config,
    source: Source,
    out: Path,
    *,
    workers: int = 1,
    engine: str = "local",
    resume: bool = True,
    budget: Budget | None = None,
    root: Path | None = None,
    about: dict[str, Any] | None = None,
    again: Again | None = None,
    listener: Listener | None = None,
) -> Summary:
    """Make what is missing of the set in `out`. The same call resumes what was killed, and ends with the same bytes.

    `about` is recorded with the session; finished shards for which `again` says so are made anew. Raises UsageError
    for a folder of another set, UserError for a source that changed or is hopeless, and for a full disk.
    """
    began = time.monotonic()
    budget, listener = budget or Budget(), listener or Listener()
    summary = Summary()
    with output.claim(out, config, resume), _Counting(source, config.limit) as counting:
        output.append_session(out, {**provenance(), "workers": workers, "engine": engine, **(about or {})})
        tasks = _tasks(Job(config, out, root), source, summary, again)
        with closing(engines.run(engine, make_shard, tasks, workers)) as results:
            for record in results:
                summary.add(record, fresh=True)
                listener.progress(summary, counting.total)
                budget.check(summary)
        _check_some(config, summary)
        complete.complete(out, config)
    summary.seconds = time.monotonic() - began
    return summary


def _tasks(job: Job, source: Source, summary: Summary, again: Again | None) -> Iterator[Task]:
    """The shards to make. Finished ones are checked against the source as they are passed."""
    done = output.finished(job.out)
    for shard, chunk in chunks(source, job.config):
        if shard in done:
            done.remove(shard)
            record = Record.read(output.record_file(job.out, shard))
            changed = record.digest != digest(chunk)
            if not (again and again(record, changed)):
                if changed:
                    raise UserError(_changed(job, shard, f"items {chunk[0].position} to {chunk[-1].position}"))
                summary.add(record, fresh=False)
                continue
            output.record_file(job.out, shard).unlink()
        (job.out / "manifest.json").unlink(missing_ok=True)
        yield Task(job, shard, chunk)
    if done:
        raise UserError(_changed(job, min(done), "it has fewer items"))


def _changed(job: Job, shard: int, what: str) -> str:
    return (
        f"the source {job.config.source} has changed since shard {shard:05d} was made ({what}); restore it, run "
        f"`fuselip-datagen retry changed {job.out}`, or build into a new --out"
    )


def _check_some(config: Config, summary: Summary) -> None:
    if not summary.counts["groups"] and not summary.counts["rows"]:
        reasons = (
            ", ".join(f"{reason} {count}" for reason, count in summary.rejects.most_common(4)) or "nothing was made"
        )
        raise UserError(
            f"not one group came of {summary.counts['items']} source items ({reasons}); "
            f"is {config.source} a source for build-{config.builder}?"
        )


class _Counting:
    """Counts the source in a thread, so that the time left can be told; it costs headers only, as hashes are kept.

    It starts after `DELAY` seconds: shorter runs need no forecast.
    """

    DELAY = 5.0

    def __init__(self, source: Source, limit: int | None) -> None:
        self.total: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, args=(source, limit), daemon=True)

    def __enter__(self) -> _Counting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _count(self, source: Source, limit: int | None) -> None:
        count = 0
        if self._stop.wait(self.DELAY):
            return
        try:
            for count, _ in enumerate(source.items(), 1):
                if self._stop.is_set():
                    return
                if count == limit:
                    break
        except UserError:
            return  # the listing that matters meets it too, and tells
        self.total = count
