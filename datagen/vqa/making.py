"""From a source's captions to files of questions: list the rows, ask what is missing, judge all in order."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from datagen.sources.types import Question, Source, SourceItem
from datagen.vqa import outcome
from datagen.vqa.asking import Pool, Tally
from datagen.vqa.journal import Journal
from datagen.vqa.outcome import Judge, Openings
from datagen.vqa.rules import Rules
from datagen.vqa.types import Backend, Row
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import lock

JOURNAL = "journal.jsonl"
Show = Callable[[int, int | None, float, str], None]  # rows passed, rows in all (None: not known yet), rows/s, text


@dataclass(frozen=True)
class Work:
    """What is asked about: `per_caption` questions on each caption of the first `limit` items of a source."""

    source: Source
    backend: Backend
    limit: int | None = None
    per_caption: int = 1

    def rows(self) -> Iterator[Row]:
        for item in islice(self.source.items(), self.limit):
            if isinstance(item, SourceItem):
                for caption in item.captions:
                    for number in range(self.per_caption):
                        yield Row.of(item.key, item.image.key, caption, number, self.backend.settings)


def generate(
    work: Work,
    folder: Path,
    *,
    rules: Rules | None = None,
    max_opening: float = 0.6,
    retry: tuple[str, ...] = (),
    show: Show | None = None,
) -> dict[str, Any]:
    """Ask what the journal in `folder` does not hold, then write the files of `datagen.vqa.outcome`.

    Rows whose outcome is one of `retry` (codes, or "all" but "ok") are asked again. The same call resumes what was
    killed. Returns the summary. UsageError for a reason that no row has, or a folder in use; UserError where the
    backend is of no use, and for a full disk.
    """
    rules = rules or Rules()
    openings = Openings(max_opening)
    with lock(folder / ".lock", f"{folder} is being written by another run; wait for it to end"):
        with Journal(folder / JOURNAL) as journal:
            again = _again(work, Judge(journal, rules, openings), retry) if retry else {}
            with _Telling(work, show) as telling:
                pool = Pool(work.backend, journal, rules, telling.tell)
                pool.ask(_missing(work, journal, again, pool.tally))
            judge = Judge(journal, rules, Openings(max_opening))
            summary = outcome.write(folder, work.rows(), judge, work.backend.settings)
        if not summary["rows"]:
            raise UserError(f"the source {work.source.name} has no captions to ask about")
        return {**summary, "damaged": journal.damaged, "asked": dict(pool.tally.counts), "seconds": telling.seconds}


def plan(work: Work, folder: Path) -> tuple[int, int]:
    """(rows, rows that the journal holds), without writing anything."""
    if not (folder / JOURNAL).exists():
        return sum(1 for _ in work.rows()), 0
    with Journal(folder / JOURNAL, read_only=True) as journal:
        known = [bool(journal.tries(row)) for row in work.rows()]
    return len(known), sum(known)


def _missing(work: Work, journal: Journal, again: dict[str, str], tally: Tally) -> Iterator[Row]:
    """Rows to ask, each once, with how often they were asked before."""
    asked = set[str]()
    for row in work.rows():
        tally.listed += 1
        tries = journal.tries(row)
        if (tries == 0 or row.hash in again) and row.hash not in asked:
            asked.add(row.hash)
            yield replace(row, tries=tries, avoid=again.get(row.hash, ""))


def _again(work: Work, judge: Judge, retry: tuple[str, ...]) -> dict[str, str]:
    """Hashes of rows to ask again, with the opening to avoid; settled before any is asked, so order plays no part."""
    found: dict[str, str] = {}
    for row in work.rows():
        verdict = judge.verdict(row)
        if not isinstance(verdict, Question) and (verdict.reason in retry or "all" in retry):
            found[row.hash] = verdict.detail if verdict.reason == "repeated_opening" else ""
    if not found:
        reasons = Counter({code: count for code, count in judge.counts.items() if code != "ok"})
        listed = ", ".join(f"{code} ({count})" for code, count in reasons.most_common()) or "none failed"
        raise UsageError(f"no row failed for {', '.join(retry)}; reasons: {listed}")
    return found


class _Telling:
    """Turns tallies into progress; a thread counts the rows meanwhile, so that the time left can be told."""

    DELAY = 5.0  # shorter runs need no forecast

    def __init__(self, work: Work, show: Show | None) -> None:
        self._work, self._show = work, show
        self._total: int | None = None
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)
        self.seconds = 0.0

    def __enter__(self) -> _Telling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self._stop.set()
        self._thread.join()

    def tell(self, tally: Tally) -> None:
        if self._show is not None:
            rate = tally.asked / max(time.monotonic() - self._began, 1e-9)
            counts = dict(tally.counts)
            bad = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()) if reason != "ok")
            text = f"{tally.listed}/{self._total or '?'} rows, {tally.asked} asked, {rate:.1f}/s"
            self._show(tally.listed, self._total, rate, text + (f", {bad}" if bad else ""))

    def _count(self) -> None:
        if self._stop.wait(self.DELAY):
            return
        count = 0
        try:
            for _ in self._work.rows():
                count += 1
                if self._stop.is_set():
                    return
        except UserError:
            return  # the listing that matters meets it too, and tells
        self._total = count
