"""Security: the headers of every answer, and who a token says that one is."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leaderboard.server.errors import ApiError
from leaderboard.server.limits import client

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Headers:
    """ASGI: the headers above on every answer, errors too. No cookie is ever set."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if scope["path"].startswith("/api/") and "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def bearer(request: Request) -> str:
    """The token of a request. Raises ApiError (401) where there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token or len(token) > 200 or not token.isascii():
        raise _unknown("there is no token", "missing_token")
    return token


def authorise(request: Request, scope: str) -> Any:
    """The store's token for a request. Raises ApiError: 401 for none, unknown, expired or revoked; 403 for its scope.

    One that guesses is slowed down by address. Blocks on the store.
    """
    state, address = request.app.state, client(request)
    state.failures.require(address, "wrong tokens from this address", cost=0)
    try:
        return state.gate.check(bearer(request), scope)
    except ApiError:
        state.failures.take(address)
        raise


def _unknown(message: str, code: str) -> ApiError:
    mend = "send the header 'Authorization: Bearer TOKEN' with a token of this leaderboard; its maintainer makes them"
    return ApiError(401, code, message, mend, "header Authorization", {"WWW-Authenticate": "Bearer"})
