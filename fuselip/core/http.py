"""POST JSON to one server: bounded in time and size, failures under short codes, retried with back-off and jitter."""

from __future__ import annotations

import http.client
import io
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fuselip.core.errors import UsageError

T = TypeVar("T")
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpFailure(Exception):
    """A request without a usable reply. `code` is short and fixed: timeout, connection, truncated, too_large, http_NNN.

    `wait` is the number of seconds the server asked for (Retry-After), None where it did not.
    """

    def __init__(self, code: str, detail: str, *, retried: bool, wait: float | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.retried, self.wait = code, detail, retried, wait


class Client:
    """One kept-alive connection, for one thread. `timeout` bounds a whole request in seconds, not each read of it.

    No redirects (they could carry the authorization elsewhere) and no proxies. UsageError for a URL that is not plain
    http(s)://host[:port][/path].
    """

    def __init__(self, base: str, headers: Mapping[str, str], timeout: float = 60.0, max_bytes: int = 1 << 20) -> None:
        self._scheme, self._host, self._port, self._path = split(base)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        self._timeout, self._max_bytes = timeout, max_bytes
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, value: Any) -> Any:
        """The decoded JSON of a reply of status 200. Raises HttpFailure for all else."""
        deadline = time.monotonic() + self._timeout
        try:
            status, headers, body = self._exchange(path, json.dumps(value).encode(), deadline)
        except HttpFailure:
            self.close()
            raise
        except TimeoutError as error:
            self.close()
            raise HttpFailure("timeout", f"no reply within {self._timeout:g} s", retried=True) from error
        except http.client.IncompleteRead as error:
            self.close()
            raise HttpFailure("truncated", "the reply broke off", retried=True) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise HttpFailure("connection", str(error) or type(error).__name__, retried=True) from error
        if status != 200:
            wait = retry_after(headers.get("Retry-After", ""))
            detail = body[:500].decode("utf-8", "replace")
            raise HttpFailure(f"http_{status}", detail, retried=status in RETRIED, wait=wait)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise HttpFailure("not_json", body[:200].decode("utf-8", "replace"), retried=True) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, path: str, body: bytes, deadline: float) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._connection or self._connect()
        self._connection = connection
        if connection.sock is not None:
            connection.sock.settimeout(max(deadline - time.monotonic(), 1e-3))
        connection.response_class = _timed(deadline)
        connection.request("POST", self._path + path, body, self._headers)
        response = connection.getresponse()
        data = response.read(self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise HttpFailure("too_large", f"a reply of over {self._max_bytes} bytes", retried=False)
        if response.length:  # read(n) does not tell by itself that less came than was announced
            raise http.client.IncompleteRead(b"", response.length)
        return response.status, response.headers, data

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout)


def split(base: str) -> tuple[str, str, int | None, str]:
    """(scheme, host, port, path without a final slash). UsageError for credentials and queries: they get recorded."""
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"the URL cannot be read ({error}); write http://HOST:PORT/v1") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("the URL holds credentials or a query; pass a key in an environment variable instead")
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c <= " " for c in base):
        raise UsageError(f"{base!r} is no http(s) URL; write http://HOST:PORT/v1")
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")


def retry_after(text: str) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date; None for anything else."""
    try:
        if text.strip().isdecimal():
            return float(text)
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass
class Backoff:
    """Calls again what failed for a passing reason: after base * 2^n seconds at most, drawn evenly (full jitter).

    One Backoff is shared by all threads: where the server names a time to wait, all of them wait. Servers that want
    more than `longest_wait` seconds are given up on. `stop` ends every wait.
    """

    attempts: int = 5
    base: float = 0.5
    longest: float = 30.0
    longest_wait: float = 300.0
    stop: threading.Event = field(default_factory=threading.Event)
    _not_before: float = 0.0

    def call(self, function: Callable[[], T]) -> T:
        """Its result. Raises the last HttpFailure once the attempts are used up, and one once `stop` is set."""
        for attempt in range(self.attempts):
            self._pause(self._not_before - time.monotonic())
            if self.stop.is_set():
                raise HttpFailure("stopped", "the run was ended", retried=False)
            try:
                return function()
            except HttpFailure as failure:
                if not failure.retried or attempt == self.attempts - 1 or (failure.wait or 0) > self.longest_wait:
                    raise
                if failure.wait is not None:
                    self._not_before = max(self._not_before, time.monotonic() + failure.wait)
                self._pause(random.uniform(0, min(self.base * 2**attempt, self.longest)))
        raise AssertionError("attempts is 1 or more")

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.stop.wait(seconds)


def _timed(deadline: float) -> Any:
    """A response class whose reads, of headers too, end by `deadline`: a slow drip would outlast socket timeouts."""

    def make(sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Timed(sock, deadline), *args, **kwargs)  # type: ignore[arg-type]

    return make


class _Timed:
    """As much of a socket as a response takes."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReads(self._sock, self._deadline))


class _TimedReads(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._reads = sock.makefile("rb", buffering=0)  # keeps the socket open until the response is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._reads.readinto(buffer)

    def close(self) -> None:
        self._reads.close()
        super().close()
