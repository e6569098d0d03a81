"""The answers in the source's order: what the journal holds, judged, as files that do not depend on who answered first.

questions.csv      path,question,answer, as the paper's CC3M-VQA
questions.jsonl    the same with caption, image hash, kind of question and row hash
rejects.jsonl      what is not among them, and why
summary.json       settings, rules, prompt, counts by reason, openings; under "made", when and where
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from datagen.sources.types import Question
from datagen.vqa import prompt
from datagen.vqa.journal import Journal
from datagen.vqa.rules import CODES, Rules, opening
from datagen.vqa.types import Failed, Row
from fuselip.core.errors import UsageError
from fuselip.core.files import atomic, write_json
from fuselip.core.provenance import provenance
from fuselip.core.types import Scalar

CSV, JSONL, REJECTS, SUMMARY = "questions.csv", "questions.jsonl", "rejects.jsonl", "summary.json"
NOT_ASKED = "not_asked"
FIRST_OPENINGS = 20  # a share means nothing before


class Openings:
    """How questions begin, in the source's order, so that the verdict does not depend on who answered first.

    Past the first FIRST_OPENINGS, none may have more than `limit` of them all (1: no limit).
    """

    def __init__(self, limit: float = 0.6) -> None:
        if not 0 < limit <= 1:
            raise UsageError(f"--max-opening {limit}: it is a share, above 0 and up to 1")
        self.limit, self.counts = limit, Counter[str]()

    def takes(self, question: str) -> bool:
        word, total = opening(question), self.counts.total()
        if total >= FIRST_OPENINGS and (self.counts[word] + 1) / (total + 1) > self.limit:
            return False
        self.counts[word] += 1
        return True


@dataclass
class Judge:
    """Verdicts row by row, to be asked in the source's order: two of the rules look at what came before."""

    journal: Journal
    rules: Rules
    openings: Openings
    counts: Counter[str] = field(default_factory=Counter)
    _key: str = ""
    _asked: set[str] = field(default_factory=set)

    def verdict(self, row: Row) -> Question | Failed:
        found = self._verdict(row)
        self.counts["ok" if isinstance(found, Question) else found.reason] += 1
        return found

    def _verdict(self, row: Row) -> Question | Failed:
        said = self.journal.find(row)
        if said is None:
            return Failed(NOT_ASKED)
        found = said if isinstance(said, Failed) else self.rules.judge(said, row.caption)
        if isinstance(found, Failed):
            return found
        if row.key != self._key:
            self._key, self._asked = row.key, set()
        if found.question.lower() in self._asked:
            return Failed("repeated_question", found.question)
        if not self.openings.takes(found.question):
            return Failed("repeated_opening", opening(found.question))
        self._asked.add(found.question.lower())
        return found


def write(folder: Path, rows: Iterable[Row], judge: Judge, settings: Mapping[str, Scalar]) -> dict[str, Any]:
    """Write the four files. Returns what summary.json holds."""
    with ExitStack() as stack:
        table, lines, rejects = (stack.enter_context(atomic(folder / name)) for name in (CSV, JSONL, REJECTS))
        _csv(table, "path", "question", "answer")
        for row in rows:
            found = judge.verdict(row)
            about = {"path": row.key, "caption": row.caption, "image": row.image, "row": row.hash}
            if isinstance(found, Failed):
                _json(rejects, {**about, "reason": found.reason, "detail": found.detail})
            else:
                _csv(table, row.key, found.question, found.answer)
                _json(lines, {"question": found.question, "answer": found.answer, "kind": found.kind, **about})
    summary = {
        "settings": dict(settings),
        "rules": {"min_grounded": judge.rules.min_grounded, "max_opening": judge.openings.limit},
        "rows": judge.counts.total(),
        "reasons": dict(sorted(judge.counts.items())),
        "meaning": {code: CODES[code] for code in sorted(judge.counts) if code in CODES},
        "openings": dict(judge.openings.counts.most_common()),
        "prompt": prompt.messages("(the caption)") if "prompt" in settings else [],
        "made": provenance(),
    }
    write_json(folder / SUMMARY, summary)
    return summary


def _csv(stream: IO[bytes], *fields: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    stream.write(text.getvalue().encode())


def _json(stream: IO[bytes], value: Mapping[str, Any]) -> None:
    stream.write((json.dumps(value, ensure_ascii=False) + "\n").encode())
