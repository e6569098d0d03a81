"""Server files: what a publisher's evaluation server takes for a task whose answers it keeps, made and checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.types import Prediction, Query, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.files import write_bytes
from fuselip.core.plugins import did_you_mean

MAX_BYTES = 5_000_000
"""CIRR's server takes no larger file; CIRCO's is not known to."""


@dataclass(frozen=True)
class Kind:
    """`top` names for each query, best first, beside the `header`; `numbers`: names are whole numbers, as numbers."""

    top: int
    header: Mapping[str, str] = field(default_factory=dict)
    numbers: bool = False


KINDS: dict[str, Kind] = {
    "cirr-recall": Kind(50, {"version": "rc2", "metric": "recall"}),
    "cirr-recall_subset": Kind(3, {"version": "rc2", "metric": "recall_subset"}),
    "circo": Kind(50, numbers=True),
}


def kind_of(spec: TaskSpec) -> str:
    """The kind of file that the task's server takes; "" where the task has no server."""
    return str(spec.params.get("server", ""))


def build(spec: TaskSpec, data: TaskData, predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The submission of a task: for every query its best candidates by name.

    Pictures that are equal byte for byte share a rank here, and are all named there, in the order of their keys.
    Raises UserError where the task has no server, or the predictions are not those of the whole task.
    """
    name = kind_of(spec)
    kind = _kind(name, f"{spec.name} has no evaluation server")
    found = {prediction.query: prediction for prediction in predictions}
    _whole(spec, data)
    lacking = next((query.key for query in data.queries if query.key not in found), None)
    if lacking is not None:
        raise UserError(
            f"{spec.name}: there is no prediction of query {lacking!r}; run the whole task, without a limit"
        )
    copies = _copies(data)
    value: dict[str, Any] = dict(kind.header)
    for query in data.queries:
        names = list(_names(query, found[query.key], data, copies))[: kind.top]
        value[query.key] = [int(each) for each in names] if kind.numbers else names
    validate(name, value, data)
    return value


def write(path: Path, spec: TaskSpec, data: TaskData, predictions: Sequence[Prediction]) -> None:
    """Build the submission and write it, whole or not at all. Raises UserError as `build` does."""
    text = json.dumps(build(spec, data, predictions), separators=(",", ":"), allow_nan=False).encode()
    if KINDS[kind_of(spec)].header and len(text) > MAX_BYTES:
        raise UserError(f"{spec.name}: the file has {len(text)} bytes, and the server takes at most {MAX_BYTES}")
    write_bytes(path, text)


def validate(kind: str, value: Any, data: TaskData | None = None) -> None:
    """UserError that says what of a submission its server would not take.

    Checked are the header, that each query has as many different names as asked for, and their form; with `data`,
    also that the queries are those of the task, and that each names only candidates it ranks.
    """
    rules = _kind(kind, f"there is no kind of server file {kind!r}{did_you_mean(kind, KINDS)}")
    if not isinstance(value, dict):
        raise UserError(f"a {kind} file is an object, not a {type(value).__name__}")
    for key, text in rules.header.items():
        if value.get(key) != text:
            raise UserError(f"a {kind} file says {key!r}: {text!r}; this one says {value.get(key)!r}")
    lists = {key: names for key, names in value.items() if key not in rules.header}
    if not lists:
        raise UserError(f"this {kind} file answers no query")
    wanted = int if rules.numbers else str
    for key, names in lists.items():
        where = f"query {key!r} of the {kind} file"
        if not key.isdecimal():
            raise UserError(f"{where}: queries are named by their number")
        if not isinstance(names, list) or any(type(name) is not wanted for name in names):
            raise UserError(f"{where}: a list of {'whole numbers' if rules.numbers else 'names'} is needed")
        if len(names) != rules.top or len(set(names)) != rules.top:
            raise UserError(f"{where}: {len(set(names))} different names of {len(names)}, where {rules.top} are needed")
    if data is not None:
        _fits(kind, lists, data)


def _fits(kind: str, lists: Mapping[str, list[Any]], data: TaskData) -> None:
    queries = {query.key: query for query in data.queries}
    if odd := sorted(set(queries) ^ set(lists)):
        raise UserError(f"the {kind} file has {len(lists)} queries, the task {len(queries)}; {odd[0]!r} is in only one")
    for key, names in lists.items():
        query = queries[key]
        pool = data.candidates if query.candidates is None else set(query.candidates)
        for name in map(str, names):
            if name not in pool or name in query.exclude:
                raise UserError(f"query {key!r} of the {kind} file names {name!r}, which it does not rank")


def _kind(name: str, otherwise: str) -> Kind:
    if name not in KINDS:
        raise UserError(f"{otherwise} (known: {', '.join(KINDS)})")
    return KINDS[name]


def _whole(spec: TaskSpec, data: TaskData) -> None:
    count = spec.counts.get("queries")
    if count is not None and count != len(data.queries):
        raise UserError(
            f"{spec.name}: the server wants all {count} queries, not {len(data.queries)}; run it without limit"
        )


def _copies(data: TaskData) -> dict[str, list[str]]:
    """The sorted keys of all candidates, by content."""
    found: dict[str, list[str]] = {}
    for key in sorted(data.candidates):
        found.setdefault(data.candidates[key].content, []).append(key)
    return found


def _names(query: Query, prediction: Prediction, data: TaskData, copies: Mapping[str, list[str]]) -> Iterator[str]:
    """Every name that the ranked bundles stand for, best first."""
    pool = None if query.candidates is None else set(query.candidates)
    for key, _ in prediction.top:
        if key not in data.candidates:
            raise UserError(f"query {query.key!r}: {key!r} is no candidate of the task; the predictions are another's")
        for name in copies[data.candidates[key].content]:
            if name not in query.exclude and (pool is None or name in pool):
                yield name
