"""The application: routes, middleware and what they share, around one store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from fuselip import __version__
from leaderboard.challenge.kept import Kept
from leaderboard.server import docs, errors, routes_board, routes_challenges, routes_queries, routes_submissions
from leaderboard.server.gateway import Gate
from leaderboard.server.limits import DEFAULT, Bounded, Buckets, Limits
from leaderboard.server.pages import Pages
from leaderboard.server.security import Headers
from leaderboard.server.shapes import ERRORS, Health
from leaderboard.server.uploads import sweep

TITLE = "fuselip leaderboard"
ABOUT = (
    "Submit an encoder's answers, see them verified, read the board. Errors have one shape: "
    "{error: {code, message, mend, where}}. Tokens go in the header 'Authorization: Bearer TOKEN'."
)


def create_app(
    store: Any,
    where: str,
    work: Path,
    *,
    limits: Limits = DEFAULT,
    behind_proxy: bool = False,
    wake: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The API and the pages around `store`, which was opened as `where`.

    `work` is this server's own folder: `work`/incoming holds uploads that are under way, `work`/pages the publications.
    `wake` is called when there is something to verify or publish.
    """
    app = FastAPI(title=TITLE, description=ABOUT, version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    state, gate, pages = app.state, Gate(store), Pages(work / "pages")
    state.gate, state.challenges, state.wake = gate, Kept(store, "server"), wake
    state.behind_proxy, state.incoming = behind_proxy, work / "incoming"
    state.pages, state.published = pages, routes_board.Published(pages)
    state.answers = routes_queries.Answers(gate, limits.drills_at_once)
    state.uploads = asyncio.Semaphore(limits.uploads_at_once)
    state.reads, state.writes = Buckets(limits.reads), Buckets(limits.writes)
    state.token_writes, state.failures = Buckets(limits.token_writes), Buckets(limits.failures)
    state.where, state.seconds = where, limits.job_seconds
    sweep(state.incoming)
    errors.install(app)
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(routes_board.read)])
    for routes in (routes_submissions, routes_board, routes_queries, routes_challenges):
        api.include_router(routes.router)
    api.add_api_route("/healthz", _health, response_model=Health, responses=ERRORS, tags=["server"])
    app.include_router(api)
    _document(app)
    app.add_api_route("/{name:path}", _page, include_in_schema=False, dependencies=[Depends(routes_board.read)])
    app.add_middleware(Bounded, limits=limits)
    app.add_middleware(Headers)
    return app


def _health(request: Request) -> dict[str, Any]:
    """Whether the server and its store answer."""
    state = request.app.state
    waiting: int = state.gate.waiting()
    state.pages.refresh()
    return {"status": "ok", "waiting": waiting, "published": state.pages.version}


async def _page(request: Request, name: str) -> Response:
    if name.startswith("api/"):
        raise errors.missing("address", "see /api/docs", "path")
    if not name or name.endswith("/"):
        name += "index.html"
    if name == "index.html":
        request.app.state.published.board()  # says that nothing is published yet, rather than that there is no page
    found: Response = request.app.state.pages.respond(request, name)
    return found


def _document(app: FastAPI) -> None:
    schema = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = schema()
            found.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/api/openapi.json", include_in_schema=False)
    def document() -> dict[str, Any]:
        return openapi()

    @app.get("/api/docs", include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(docs.page(openapi()))

    @app.get("/api/docs.css", include_in_schema=False)
    def style() -> Response:
        return Response(docs.STYLE, media_type="text/css")
