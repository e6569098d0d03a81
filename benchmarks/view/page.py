"""The page itself: a table, plots, and a list of all queries that filters as one types. One file, no network.

All columns of all tasks lie in one compressed block that the page's script (allowed by its hash, and nothing else)
unpacks; rows become elements only while they are on the screen.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from benchmarks.report import FEW, clean, percent
from benchmarks.view import plots
from benchmarks.view.columns import Columns
from benchmarks.view.pictures import Shown
from fuselip.core.html import Html, json_block, page, table, tag


class Block:
    """Arrays back to back, each at a multiple of eight bytes, and where each lies."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, array: np.ndarray) -> list[Any]:
        """[kind, offset in bytes, length]: what the script needs to see the array."""
        kind = {"float32": "f4", "int32": "i4", "uint32": "u4", "uint8": "u1"}[array.dtype.name]
        data = np.ascontiguousarray(array).tobytes()
        place = [kind, self._size, array.size]
        self._parts += [data, bytes(-len(data) % 8)]
        self._size += len(data) + (-len(data) % 8)
        return place

    def texts(self, texts: Sequence[str]) -> dict[str, Any]:
        """UTF-8 back to back, with the ends of each."""
        encoded = [text.encode("utf-8", "replace") for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.uint32) if encoded else np.zeros(0, np.uint32)
        return {"bytes": self.add(np.frombuffer(b"".join(encoded), np.uint8)), "ends": self.add(ends)}

    def packed(self) -> str:
        return base64.b64encode(zlib.compress(b"".join(self._parts), 6)).decode("ascii")


def build(
    labels: Sequence[str],
    summaries: Sequence[Mapping[str, Any]],
    tasks: Mapping[str, Sequence[Columns]],
    shown: Mapping[str, Shown],
    words: Sequence[str],
    pictures: Sequence[str],
    notes: Sequence[str],
) -> str:
    """The document. `tasks` holds the columns of every run, `shown` what is known of a task's texts and pictures."""
    block = Block()
    header = {
        "runs": [{"label": clean(label), "colour": plots.colour(n)} for n, label in enumerate(labels)],
        "tasks": [_task(name, runs, shown.get(name), block) for name, runs in tasks.items()],
        "words": block.texts([clean(word) for word in words]),
        "pictures": list(pictures),
    }
    script = files("benchmarks.view").joinpath("view.js").read_text("utf-8")
    style = files("benchmarks.view").joinpath("view.css").read_text("utf-8")
    return page(
        "fuselip-bench: " + ", ".join(clean(label) for label in labels),
        tag("h2", "Scores"),
        tag("p", *(_legend(number, label) for number, label in enumerate(labels))),
        _scores(labels, summaries),
        _plots(summaries),
        *(tag("p", note, class_="quiet") for note in notes),
        tag("h2", "Skills"),
        *_skills(summaries),
        tag("h2", "Queries"),
        tag("div", id="browser"),
        json_block("header", json.dumps(header, separators=(",", ":"))),
        json_block("block", block.packed()),
        style=style,
        script=script,
    )


def _legend(number: int, label: str) -> Html:
    dot = tag("i", style=f"background:{plots.colour(number)}")
    return tag("span", dot, clean(label), " ", class_="legend")


def _task(name: str, runs: Sequence[Columns], shown: Shown | None, block: Block) -> dict[str, Any]:
    first = runs[0]
    return {
        "name": clean(name),
        "n": len(first.queries),
        "queries": block.texts([clean(query) for query in first.queries]),
        "answers": block.add(np.array(first.answers, np.int32)),
        "tags": block.add(np.array(first.tags, np.int32)),
        "texts": block.add(np.array(shown.texts, np.int32)) if shown else None,
        "runs": [{key: block.add(array.ravel()) for key, array in run.arrays().items()} for run in runs],
        "queryPictures": shown.query_pictures if shown else {},
        "candidatePictures": shown.candidate_pictures if shown else {},
        "candidateTexts": shown.candidate_texts if shown else {},
    }


def _results(summaries: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any] | None]]:
    """Results by task name, one a run."""
    by_run = [{task["name"]: task for task in summary["tasks"]} for summary in summaries]
    names = list(dict.fromkeys(name for found in by_run for name in found))
    return {name: [found.get(name) for found in by_run] for name in names}


def _scores(labels: Sequence[str], summaries: Sequence[Mapping[str, Any]]) -> Html:
    heads = ["task", "metric", "n", "chance", *(clean(label) for label in labels), "image only", "text only", "flags"]
    rows = []
    for name, found in _results(summaries).items():
        one = next(result for result in found if result is not None)
        scores = [_score(result) for result in found]
        controls = one["controls"]
        rows.append(
            [
                clean(name),
                clean(one["metric"]),
                str(one["n"]),
                percent(one["chance"]),
                *scores,
                percent(controls.get("image_only")),
                percent(controls.get("text_only")),
                "; ".join(_flags(one)),
            ]
        )
    return table(heads, rows, numbers=range(2, len(heads) - 1))


def _score(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "–"
    mark = FEW.get(result["interval"], ("", ""))[0]
    return f"{percent(result['value'])} [{percent(result['low'])}, {percent(result['high'])}]{mark}"


def _flags(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the task: whether fusion is needed, and what the run warned of."""
    audit = result.get("audit") or {}
    blind = audit.get("blind") or {}
    flags = []
    if audit.get("needs_fusion") is False:
        flags.append(f"needs no fusion ({clean(str(audit.get('reason', '')))})")
    if blind:
        best = max(blind, key=lambda name: blind[name])
        flags.append(f"blind {clean(best)} {percent(blind[best])}")
    gap = (result.get("composition") or {}).get("gap")
    if isinstance(gap, int | float):
        flags.append(f"composition gap {100 * gap:+.1f}")
    return flags + [clean(str(warning)) for warning in result["warnings"]]


def _plots(summaries: Sequence[Mapping[str, Any]]) -> Html:
    rows = []
    for name, found in _results(summaries).items():
        one = next(result for result in found if result is not None)
        points = [None if each is None else (each["value"], each["low"], each["high"]) for each in found]
        rows.append((clean(name)[:30], one["chance"], points))
    return plots.intervals(rows)


def _skills(summaries: Sequence[Mapping[str, Any]]) -> list[Html]:
    parts = []
    for name, found in _results(summaries).items():
        skills = [result["skills"] if result else {} for result in found]
        for skill in dict.fromkeys(key for each in skills for key in each if isinstance(each[key], list)):
            curves = [each.get(skill) or [] for each in skills]
            parts.append(plots.curve(f"{clean(name)}: {clean(skill)}", curves))
    return [tag("div", *parts, class_="plots")] if parts else [tag("p", "none: no task of these runs has tags")]
