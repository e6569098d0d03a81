"""The queries of a task as columns of numbers: small enough that a page holds a million rows.

Read batch by batch, so that memory follows what is shown, not what a file holds. Nothing in the file is believed:
a number out of range or a wrong kind is an error that names the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.metrics import METRICS
from benchmarks.types import Prediction, TargetRank
from fuselip.core.errors import UserError

SHOWN = 3
"""Best candidates kept of each query."""


class Words:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return found


@dataclass
class Columns:
    """One run's answers to one task, in the order of the query keys. `picks` and `scores` are [N, SHOWN], -1: none."""

    queries: list[str] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    tied: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    picks: list[list[int]] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "values": np.array(self.values, np.float32),
            "ranks": np.array(self.ranks, np.int32),
            "tied": np.array(self.tied, np.int32),
            "picks": np.array(self.picks, np.int32).reshape(-1, SHOWN),
            "scores": np.array(self.scores, np.float32).reshape(-1, SHOWN),
        }


def read(path: Path, words: Words, most: int | None = None) -> Columns:
    """The model's rows of a predictions.parquet, at most `most`. Raises UserError where it is missing or damaged."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = ["variant", "query", "tags", "targets", "top_keys", "top_scores"]
    columns = Columns()
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=1 << 14, columns=wanted):
                table = pa.Table.from_batches([batch]).filter(pc.equal(batch["variant"], "model"))
                for name in ("top_keys", "top_scores"):
                    cut = pc.list_slice(table[name], 0, SHOWN)
                    table = table.set_column(table.schema.get_field_index(name), name, cut)
                others = table.num_rows < batch.num_rows  # rows are sorted by variant, and the model's come first
                if most:
                    table = table.slice(0, most - len(columns.queries))
                _add(columns, table.to_pydict(), words, path)
                if others or len(columns.queries) == most:
                    break
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; the run is not whole") from error
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a readable predictions file ({error}); it was edited or is damaged") from error
    return columns


def _add(columns: Columns, rows: dict[str, list[Any]], words: Words, path: Path) -> None:
    for query, tags, targets, keys, scores in zip(
        *(rows[name] for name in ("query", "tags", "targets", "top_keys", "top_scores")), strict=True
    ):
        if len(keys) != len(scores):
            raise UserError(f"{path} has gaps in query {query!r}; it was edited or is damaged")
        columns.queries.append(query)
        columns.tags.append(words.number(tags))
        gap = SHOWN - len(keys)
        columns.picks.append([words.number(key) for key in keys] + [-1] * gap)
        columns.scores.append([*scores, *[float("nan")] * gap])
        best = min(targets, key=lambda target: target["above"]) if targets else None
        columns.values.append(_value(query, targets))
        columns.ranks.append(best["above"] + 1 if best else 0)
        columns.tied.append(best["tied"] if best else 0)
        columns.answers.append(words.number(best["key"]) if best else -1)


def _value(query: str, targets: list[dict[str, Any]]) -> float:
    """Expected hit@1; NaN where the answers are held by a server."""
    if not targets:
        return float("nan")
    if len(targets) == 1:
        [target] = targets
        return target["gain"] / (target["tied"] + 1) if target["above"] == 0 else 0.0
    found = Prediction(query, "", "", {}, 1 << 30, tuple(TargetRank(**target) for target in targets), ())
    return METRICS["hit@1"].units([found])[0].value
