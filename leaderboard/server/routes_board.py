"""Reading: rows with filters, the board, tasks, exports; all of it from the published board, none from the database."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from leaderboard.board import Board, Row, Task, from_json
from leaderboard.exports import export
from leaderboard.server.errors import ApiError, missing
from leaderboard.server.limits import client
from leaderboard.server.pages import Pages
from leaderboard.server.shapes import ERRORS
from leaderboard.types import Badge

BOARD = "api/board.json"
Text = Annotated[str, Query(max_length=200)]
Names = Annotated[list[str] | None, Query(max_length=200)]


def _documented(type_: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {type_: {"schema": {"type": "string"}}}, "description": "The table."}}


router = APIRouter(tags=["board"], responses=ERRORS)


class Published:
    """The newest published board, decoded once for all requests."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._held: tuple[str, Board] | None = None
        self._lock = threading.Lock()

    def board(self) -> Board:
        """Raises ApiError (503) before the first publication."""
        text = self._pages.text(BOARD)
        if text is None:
            raise ApiError(
                503,
                "not_published",
                "nothing is published yet",
                "try again in a moment",
                "server",
                {"Retry-After": "5"},
            )
        version = self._pages.version
        with self._lock:
            if self._held is None or self._held[0] != version:
                self._held = (version, from_json(text))
            return self._held[1]


async def read(request: Request) -> None:
    """Each read counts against its address."""
    request.app.state.reads.require(client(request), "requests from this address")


@router.get("/board")
async def board(request: Request) -> Response:
    """The whole board: rows, scores, averages, ranks, pairs; the document that the pages are made of."""
    request.app.state.published.board()
    found: Response = request.app.state.pages.respond(request, BOARD)
    return found


@router.get("/rows")
def rows(
    request: Request,
    q: Text = "",
    badge: Badge | None = None,
    task: Text = "",
    comparable: bool | None = None,
    sort: Literal["rank", "name", "parameters", "dimension", "created"] = "rank",
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Rows of the board. `q` is looked for in name, organisation, licence and fusion policy, letter by letter."""
    found = _chosen(request.app.state.published.board(), q, badge, task, comparable, sort)
    shown = {"total": len(found), "offset": offset, "limit": limit, "rows": found[offset : offset + limit]}
    return Response(msgspec.json.encode(shown), media_type="application/json")


@router.get("/rows.csv", response_class=Response, responses=_documented("text/csv"))
def rows_csv(request: Request, row: Names = None, column: Names = None) -> Response:
    """Rows as CSV: `row` ids and `column` names ("task:NAME", "family:NAME" too), each several times for several."""
    return _export(request, "csv", "text/csv", row, column)


@router.get("/rows.tex", response_class=Response, responses=_documented("application/x-tex"))
def rows_tex(request: Request, row: Names = None, column: Names = None) -> Response:
    """Rows as a LaTeX table, as `rows.csv`."""
    return _export(request, "latex", "application/x-tex", row, column)


def _export(request: Request, format_: str, type_: str, row: list[str] | None, column: list[str] | None) -> Response:
    from fuselip.core.errors import UsageError

    try:
        text = export(request.app.state.published.board(), format_, rows=row, columns=column)
    except UsageError as error:
        raise ApiError(422, "invalid", str(error), "name rows and columns of /api/v1/board", "query") from None
    suffix = {"csv": "csv", "latex": "tex"}[format_]
    headers = {"Content-Disposition": f'attachment; filename="leaderboard.{suffix}"'}
    return Response(text, headers=headers, media_type=type_)


def find_task(document: Board, name: str) -> Task:
    found = next((each for each in document.tasks if each.name == name), None)
    if found is None:
        raise missing("task", "GET /api/v1/board lists them", "path")
    return found


def describe_task(document: Board, name: str) -> dict[str, Any]:
    """A task, and each row's score on it, best first."""
    about = find_task(document, name)
    scores = [
        {"id": row.id, "name": row.name, "badge": row.badge, "score": score}
        for row in document.rows
        if (score := row.scores.get(name))
    ]
    scores.sort(key=lambda each: -each["score"].value)  # type: ignore[attr-defined]
    return {"task": about, "scores": scores}


def _chosen(document: Board, q: str, badge: Badge | None, task: str, comparable: bool | None, sort: str) -> list[Row]:
    words = q.casefold().split()
    found = [
        row
        for row in document.rows
        if (badge is None or row.badge == badge)
        and (comparable is None or row.comparable is comparable)
        and (not task or task in row.scores)
        and all(word in f"{row.name} {row.organisation} {row.licence} {row.fusion_policy}".casefold() for word in words)
    ]
    if sort in ("parameters", "dimension"):
        found.sort(key=lambda row: (getattr(row, sort) is None, getattr(row, sort) or 0))
    elif sort != "rank":  # the board's own order
        found.sort(key=lambda row: getattr(row, sort).casefold())
    return found
