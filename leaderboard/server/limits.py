"""Limits: how much, how often and for how long a client may ask."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leaderboard.server.errors import ApiError

UPLOAD = "/api/v1/submissions"


@dataclass(frozen=True)
class Rate:
    """`per_minute` requests in the long run, `burst` at once."""

    per_minute: float
    burst: float


@dataclass(frozen=True)
class Limits:
    """All limits of a server. Bytes and seconds; `idle` is the longest pause within an upload."""

    upload_bytes: int = 64 << 20
    response_bytes: int = 32 << 20
    body_bytes: int = 1 << 20
    header_bytes: int = 16 << 10
    url_bytes: int = 4 << 10
    header_seconds: float = 10.0
    idle_seconds: float = 15.0
    upload_seconds: float = 300.0
    request_seconds: float = 30.0
    job_seconds: float = 120.0
    uploads_at_once: int = 64
    connections: int = 1024
    drills_at_once: int = 2
    reads: Rate = Rate(6000, 1000)
    writes: Rate = Rate(60, 120)
    token_writes: Rate = Rate(20, 20)
    failures: Rate = Rate(20, 20)


DEFAULT = Limits()


class Buckets:
    """A token bucket for each name, in memory; the least used are forgotten once there are `most`."""

    def __init__(self, rate: Rate, most: int = 10_000) -> None:
        self._rate, self._most = rate, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, now: float | None = None, cost: float = 1.0) -> float:
        """0 where one may go on, else the seconds to wait. `cost` 0 looks and takes nothing."""
        now = time.monotonic() if now is None else now
        with self._lock:
            left, at = self._left.pop(name, (self._rate.burst, now))
            left = min(self._rate.burst, left + (now - at) * self._rate.per_minute / 60)
            wait = 0.0 if left >= 1 else (1 - left) * 60 / self._rate.per_minute
            self._left[name] = (left - cost if not wait else left, now)
            while len(self._left) > self._most:
                self._left.popitem(last=False)
        return wait

    def require(self, name: str, what: str, cost: float = 1.0) -> None:
        """Raises ApiError (429) with the time to wait."""
        if wait := self.take(name, cost=cost):
            seconds = str(math.ceil(wait))
            raise ApiError(
                429, "too_many_requests", f"too many {what}", f"wait {seconds} s", "client", {"Retry-After": seconds}
            )


def client(request: Request) -> str:
    """The address of the client. X-Forwarded-For counts only where the server was told that it is behind a proxy."""
    if request.app.state.behind_proxy:
        forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()  # what our own proxy added
        if forwarded:
            return forwarded[:64]
    return request.client.host if request.client else "unknown"


class Bounded:
    """ASGI: bodies within their size, each request within its time, whatever the client announces."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._limits)
        try:
            exchange.look()
            async with asyncio.timeout(exchange.seconds):
                await self._app(scope, exchange.receive, exchange.send)
        except ApiError as error:
            await exchange.refuse(error)
        except TimeoutError:
            await exchange.refuse(_slow(f"the request took over {exchange.seconds:g} s"))


class _Exchange:
    """One request: what has come in, and whether an answer has begun."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._scope, self._receive, self._send, self._limits = scope, receive, send, limits
        path, slow = scope["path"], scope["method"] == "POST"
        upload, response = slow and path == UPLOAD, slow and path.endswith("/response")
        self.most = limits.upload_bytes if upload else limits.response_bytes if response else limits.body_bytes
        self.seconds = limits.upload_seconds if slow else limits.request_seconds
        self.taken, self.begun, self.whole = 0, False, False

    def look(self) -> None:
        """Refuse by the headers alone what they already show to be too much."""
        if len(self._scope.get("raw_path") or b"") + len(self._scope["query_string"]) > self._limits.url_bytes:
            raise ApiError(
                414, "url_too_long", "the address is too long", f"keep it under {self._limits.url_bytes} bytes"
            )
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and (len(value) > 18 or int(value) > self.most):
                raise self._large()

    async def receive(self) -> Message:
        if self.whole:
            return await self._receive()  # only "http.disconnect" is left to come
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                message = await self._receive()
        except TimeoutError:
            raise _slow(f"nothing came for {self._limits.idle_seconds:g} s") from None
        self.taken += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self.taken > self.most:
            raise self._large()
        return message

    async def send(self, message: Message) -> None:
        self.begun = True
        await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        """Answer with the error and close: what is left of the body is not read."""
        if self.begun:
            return
        response = error.response()
        response.headers["Connection"] = "close"
        await response(self._scope, self._receive, self._send)

    def _large(self) -> ApiError:
        return ApiError(413, "too_large", f"the body is over {self.most} bytes", "send a smaller one", "body")


def _slow(message: str) -> ApiError:
    return ApiError(408, "too_slow", message, "send it again over a faster connection", "body")


def protocol(limits: Limits) -> Any:
    """uvicorn's HTTP/1.1 protocol that also closes a connection whose request headers do not come whole in time."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Timed(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._asked: Any = None
            self._watch()

        def _watch(self) -> None:
            self._timer = self.loop.call_later(limits.header_seconds, self._late)

        def _late(self) -> None:
            if self.transport.is_closing():
                return
            if self.cycle is self._asked and (self.cycle is None or self.cycle.response_complete):
                self.transport.close()  # since the last look no request has come whole, and none is being answered
                return
            self._asked = self.cycle
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._timer.cancel()
            super().connection_lost(exc)

    return Timed
