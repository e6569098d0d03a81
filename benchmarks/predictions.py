"""predictions.parquet: one row per (variant, query), enough to compute every number again without the encoder.

Equal predictions give equal bytes (with one version of pyarrow): rows are sorted, writer settings fixed, no time stamp.
Reading runs nothing from the file and believes nothing in it: every row is checked, and against the other variants.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.score import TIE
from benchmarks.types import Prediction, TargetRank
from fuselip.core.errors import UserError
from fuselip.core.files import atomic

SCHEMA = "1"
VARIANTS = (
    *("model", "image_only", "text_only", "constant", "random", "oracle"),
    *("characters", "bag_of_words", "box_area", "swapped_image"),
)
REQUIRED = ("task", "version", "data_hash")
ROWS = 2048
"""Rows per row group: what is in memory at a time, as Arrow, when writing and reading."""

_TARGET = pa.struct([("key", pa.string()), ("above", pa.int64()), ("tied", pa.int64()), ("gain", pa.float64())])
COLUMNS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "variant": pa.string(),
            "query": pa.string(),
            "cluster": pa.string(),
            "group": pa.string(),
            "tags": pa.string(),
            "pool": pa.int64(),
            "targets": pa.list_(_TARGET),
            "top_keys": pa.list_(pa.string()),
            "top_scores": pa.list_(pa.float32()),
            "truncated": pa.bool_(),
        }.items()
    ]
)


File = Path | BytesIO
"""A file, or its bytes in an object that names itself in messages."""


@dataclass(frozen=True)
class PredictionFile:
    """What a predictions.parquet holds: its header, and the predictions of each variant sorted by query key."""

    header: dict[str, str]
    variants: dict[str, list[Prediction]]


def write(path: Path, variants: Mapping[str, Sequence[Prediction]], header: Mapping[str, str]) -> None:
    """Write the file, whole or not at all. `header` says at least task, version and data_hash.

    Raises ValueError for an unknown variant, a query that comes twice in one, or a header that lacks something.
    """
    unknown, lacking = set(variants) - set(VARIANTS), [key for key in REQUIRED if key not in header]
    if unknown or lacking:
        raise ValueError(f"unknown variants {sorted(unknown)}, or missing in the header: {lacking}")
    metadata = {"schema": SCHEMA, **header}
    schema = COLUMNS.with_metadata({key: metadata[key] for key in sorted(metadata)})
    with atomic(path) as stream, _writer(stream, schema) as writer:
        for variant in VARIANTS:
            ordered = sorted(variants.get(variant, ()), key=lambda prediction: prediction.query)
            for first, second in pairwise(ordered):
                if first.query == second.query:
                    raise ValueError(f"query {first.query!r} comes twice in variant {variant!r}")
            for start in range(0, len(ordered), ROWS):
                rows = [_row(variant, prediction) for prediction in ordered[start : start + ROWS]]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=ROWS)


def _writer(stream: Any, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        stream, schema, version="2.6", compression="zstd", compression_level=3, write_page_checksum=True
    )


def _row(variant: str, prediction: Prediction) -> dict[str, Any]:
    return {
        "variant": variant,
        "query": prediction.query,
        "cluster": prediction.cluster,
        "group": prediction.group,
        "tags": json.dumps(dict(prediction.tags), sort_keys=True, allow_nan=False),
        "pool": prediction.pool,
        "targets": [vars(target) for target in prediction.targets],
        "top_keys": [key for key, _ in prediction.top],
        "top_scores": [value for _, value in prediction.top],
        "truncated": prediction.truncated,
    }


def read(path: File) -> PredictionFile:
    """Read and check the file. Raises UserError, naming it and the row, for what no run of ours can have written."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            header = _header(file.schema_arrow, path)
            variants: dict[str, list[Prediction]] = {}
            last = (-1, "")
            for row in _rows(file):
                where = (VARIANTS.index(row["variant"]) if row["variant"] in VARIANTS else -1, row["query"])
                _require(where[0] >= 0, path, f"has an unknown variant {row['variant']!r}")
                _require(where > last, path, f"has query {row['query']!r} of {row['variant']} twice or out of order")
                last = where
                variants.setdefault(row["variant"], []).append(_prediction(row, path))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; without predictions nothing can be computed again") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable Parquet file ({_first_line(error)}); it is damaged") from error
    _require(bool(variants.get("model")), path, "holds no predictions of the model")
    for variant, found in variants.items():
        _require(
            [_question(prediction) for prediction in found] == [_question(p) for p in variants["model"]],
            path,
            f"asks {variant} other questions than the model",
        )
    return PredictionFile(header, variants)


def _header(schema: pa.Schema, path: File) -> dict[str, str]:
    _require(schema.equals(COLUMNS), path, "does not have the columns of a predictions file")
    header = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    _require(header.pop("schema", None) == SCHEMA, path, f"is not of schema {SCHEMA}; another version made it")
    for key in REQUIRED:
        _require(key in header, path, f"does not say its {key}")
    return header


def _rows(file: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=ROWS):
        batch.validate(full=True)
        yield from batch.to_pylist()


def _prediction(row: dict[str, Any], path: File) -> Prediction:
    where = f"query {row['query']!r} of {row['variant']}"
    try:
        tags = json.loads(row["tags"])
    except json.JSONDecodeError:
        tags = None
    scalars = isinstance(tags, dict) and all(isinstance(value, bool | int | float | str) for value in tags.values())
    _require(scalars, path, f"has unreadable tags in {where}")
    absent = None in row.values() or None in row["top_keys"] or None in row["top_scores"] or None in row["targets"]
    _require(not absent and len(row["top_keys"]) == len(row["top_scores"]), path, f"has gaps in {where}")
    _require(not any(None in target.values() for target in row["targets"]), path, f"has gaps in {where}")
    prediction = Prediction(
        query=row["query"],
        cluster=row["cluster"],
        group=row["group"],
        tags=tags,
        pool=row["pool"],
        targets=tuple(TargetRank(**target) for target in row["targets"]),
        top=tuple(zip(row["top_keys"], row["top_scores"], strict=True)),
        truncated=row["truncated"],
    )
    fault = inconsistency(prediction)
    _require(not fault, path, f"contradicts itself in {where}: {fault}")
    return prediction


def inconsistency(prediction: Prediction) -> str:
    """What cannot be true of one Prediction, in words; "" where all of it fits together."""
    scores = dict(prediction.top)
    falling = [value for _, value in prediction.top]
    if len(scores) != len(prediction.top) or not 0 < len(scores) <= prediction.pool:
        return "the best candidates repeat, are none, or are more than the pool"
    if prediction.truncated != (len(scores) < prediction.pool):
        return "the best candidates are not as many as it says"
    if not all(math.isfinite(value) for value in falling):
        return "a score is not finite"
    if any(after > before + 2 * TIE for before, after in pairwise(falling)):
        return "the best candidates are not in order of their scores"
    if len({target.key for target in prediction.targets}) != len(prediction.targets):
        return "an answer is listed twice"
    if any(
        (second.above, second.tied) != (first.above, first.tied) and second.above <= first.above + first.tied
        for first, second in pairwise(prediction.targets)
    ):
        return "the tie groups of its answers overlap"
    rising = sorted(falling)
    leaders = {target.above: target for target in reversed(prediction.targets)}
    faults = (
        _misplaced(target, prediction, scores, rising, leads=leaders[target.above] is target)
        for target in prediction.targets
    )
    return next(filter(None, faults), "")


def _misplaced(
    target: TargetRank, prediction: Prediction, scores: dict[str, float], rising: list[float], *, leads: bool
) -> str:
    """Why the target cannot stand where it is said to, given the scores that are kept."""
    reach = target.above + target.tied + 1
    if target.above < 0 or target.tied < 0 or reach > prediction.pool or not 0 < target.gain <= 1:
        return f"the rank or gain of answer {target.key!r} is impossible"
    # These bounds hold for every ranking of ours: a tie group is drawn around its best target, which `leads` it and is
    # at most one tie width above this one; what a cut list leaves out is at most one above its last score.
    slack = TIE / 100
    edge = rising[0] + 3 * TIE + slack if prediction.truncated else -math.inf
    if target.key not in scores:
        fits = prediction.truncated and target.above >= _above(rising, edge) and (reach > len(rising) or not leads)
        return "" if fits else f"answer {target.key!r} is not among the best candidates, but ranked so"
    score = scores[target.key]
    fits = target.above >= _above(rising, score + 2 * TIE + slack)
    if score > edge:
        fits &= target.above <= _above(rising, score - slack) and reach <= _above(rising, score - TIE - slack)
    return "" if fits else f"the rank of answer {target.key!r} does not follow from the scores"


def _above(rising: list[float], score: float) -> int:
    return len(rising) - bisect_right(rising, score)


def _question(prediction: Prediction) -> tuple[Any, ...]:
    """What a prediction says of its question, which is the same for every variant."""
    answers = sorted((target.key, target.gain) for target in prediction.targets)
    return prediction.query, prediction.cluster, prediction.group, prediction.tags, prediction.pool, answers


def _require(condition: bool, path: File, fault: str) -> None:
    if not condition:
        raise UserError(f"{path} {fault}; it was edited or is damaged")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
