"""Drill-down: a task, and query by query what chosen rows answered, read from their verified bundles."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from benchmarks.types import Prediction
from fuselip.core.weighted_lru import WeightedLRU
from leaderboard.server.errors import ApiError, missing
from leaderboard.server.gateway import Gate
from leaderboard.server.routes_board import describe_task, find_task
from leaderboard.server.shapes import ERRORS

ROWS = 8
TOP = 10

router = APIRouter(tags=["board"], responses=ERRORS)


class Answers:
    """What rows answered, by bundle and task; the latest are kept. A few at a time are read: it costs memory."""

    def __init__(self, gate: Gate, at_once: int, held: int = 256 << 20) -> None:
        self._gate = gate
        self._turn = threading.BoundedSemaphore(at_once)
        self._held: WeightedLRU[tuple[str, str], Mapping[str, Prediction]] = WeightedLRU(held)

    def of(self, id_: str, task: str) -> Mapping[str, Prediction]:
        """{query: prediction} of an accepted submission. Raises ApiError (404, or 503 where too many ask)."""
        found = self._gate.store.find(id_)
        if found is None or found.state != "accepted":
            raise missing("row", "GET /api/v1/board lists them", "query.row")
        key = (found.sha256, task)
        rows = self._held.get(key)
        if rows is None:
            if not self._turn.acquire(timeout=10):
                raise ApiError(503, "busy", "too many read answers at once", "wait 5 s", "server", {"Retry-After": "5"})
            try:
                rows = self._read(found.sha256, task)
            finally:
                self._turn.release()
            self._held.put(key, rows, sum(200 + 120 * len(row.top) for row in rows.values()))
        return rows

    def _read(self, sha256: str, task: str) -> Mapping[str, Prediction]:
        from leaderboard import bundle

        files = bundle.read(self._gate.store.bundle_path(sha256)).tasks.get(task)
        if files is None:
            raise missing("answer of that row to this task", "GET /api/v1/board says which rows have it", "query.row")
        return {row.query: row for row in files.predictions.variants["model"]}


@router.get("/tasks/{name:path}/queries")
def queries(
    request: Request,
    name: str,
    row: Annotated[list[str], Query(min_length=1, max_length=ROWS)],
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    differ: bool = False,
) -> Response:
    """Per query, in the order of keys, the first candidates of the rows `row` (ids, up to 8), with their scores.

    `differ`: only queries on which the rows' first candidates are not the same.
    """
    state = request.app.state
    find_task(state.published.board(), name)
    told = {id_: state.answers.of(id_, name) for id_ in dict.fromkeys(row)}
    keys = sorted(set().union(*told.values()))
    if differ:
        keys = [key for key in keys if len({_first(rows.get(key)) for rows in told.values()}) > 1]
    shown = [{"query": key, "rows": {id_: _shown(rows.get(key)) for id_, rows in told.items()}} for key in keys]
    found = {"total": len(keys), "offset": offset, "limit": limit, "queries": shown[offset : offset + limit]}
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get("/tasks/{name:path}")
def task(request: Request, name: str) -> Response:
    """A task, and the rows' scores on it, best first."""
    found = describe_task(request.app.state.published.board(), name)
    return Response(msgspec.json.encode(found), media_type="application/json")


def _first(row: Prediction | None) -> str | None:
    return row.top[0][0] if row and row.top else None


def _shown(row: Prediction | None) -> dict[str, Any] | None:
    """Ranks were verified with the bundle: `rank` of the best right candidate is one plus those above it."""
    if row is None:
        return None
    best = min((target.above for target in row.targets), default=None)
    top = [{"candidate": key, "score": score} for key, score in row.top[:TOP]]
    return {"rank": None if best is None else best + 1, "pool": row.pool, "top": top}
