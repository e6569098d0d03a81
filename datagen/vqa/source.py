"""A source with the questions of a file on its items: ours (.csv, .jsonl) or any CSV path,question,answer."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from datagen.sources.types import Question, Rejected, Source, SourceItem
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import sha256_file
from fuselip.core.plugins import did_you_mean

REQUIRED = ("path", "question", "answer")


class Questions:
    """`inner` with the questions of `file` on the items whose keys its paths are.

    The file is held in memory (some 400 bytes a question). It decides what a set holds, so its hash is in the name.
    Paths that no item has are Rejected at the end. UserError for a file that is no such table.
    """

    def __init__(self, inner: Source, file: Path) -> None:
        if not file.is_file():
            raise UserError(f"{file} is no file; make it with build-vqa, or check the spelling")
        self._inner, self._file = inner, file
        self.name = f"{inner.name}+questions:{sha256_file(file)[:12]}"

    def items(self) -> Iterator[SourceItem | Rejected]:
        known = self._read()
        for item in self._inner.items():
            if isinstance(item, SourceItem) and (found := known.pop(item.key, None)):
                item = replace(item, questions=item.questions + tuple(found))
            yield item
        for path in known:
            yield Rejected(path, f"questions of {self._file.name}: this image does not exist in {self._inner.name}")

    def _read(self) -> dict[str, list[Question]]:
        known: dict[str, list[Question]] = {}
        for path, question in _lines(self._file) if self._file.suffix == ".jsonl" else _rows(self._file):
            known.setdefault(path, []).append(question)
        return known


def _lines(file: Path) -> Iterator[tuple[str, Question]]:
    with open(file, "rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                value = json.loads(line)
                texts = [value[name] for name in REQUIRED]
                if not all(isinstance(text, str) for text in texts):
                    raise TypeError("a value is no text")
                yield texts[0], Question(texts[1], texts[2], str(value.get("kind", "")))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{file}, line {number}: no object with the texts {', '.join(REQUIRED)} ({error!r})"
                ) from error


def _rows(file: Path) -> Iterator[tuple[str, Question]]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            names = [name.strip() for name in next(reader, [])]
            at = [_column(file, name, names) for name in REQUIRED]
            for row in reader:
                if row:
                    path, question, answer = (row[index].strip() for index in at)
                    yield path, Question(question, answer)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is not a CSV in UTF-8 ({error}); mend it or make it anew") from error
    except IndexError as error:
        raise UserError(f"{file}, line {reader.line_num}: fewer fields than the header row; mend that line") from error


def _column(file: Path, name: str, names: list[str]) -> int:
    if name not in names:
        hint = did_you_mean(name, names)
        raise UserError(f"{file} has no column {name!r} (its header row is {','.join(names)!r}){hint}")
    return names.index(name)


def open_questions(rest: str, data_root: str | None) -> Source:
    """The source of a spec `questions:FILE::SPEC`, given without its kind. UsageError where a part is missing."""
    from datagen.sources.registry import open_source

    file, separator, inner = rest.partition("::")
    if not file or not separator or not inner:
        raise UsageError("a source with questions is written questions:FILE::SOURCE")
    return Questions(open_source(inner, data_root), Path(data_root or "") / file)
