"""A web site on this machine, with all that can be wrong with pictures on the web."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import sets


def jpeg(number: int, side: int = 64) -> bytes:
    stream = io.BytesIO()
    sets.picture(number, side, side).save(stream, "JPEG", quality=90)
    return stream.getvalue()


class Site(BaseHTTPRequestHandler):
    """/good/N, /flaky/N (503 the first time), /missing, /slow, /corrupt, /page, /huge, /cut, /private, /file, /loop."""

    seen: dict[str, int]
    release: threading.Event

    def do_GET(self) -> None:
        kind, _, number = self.path.strip("/").partition("/")
        count = self.seen[self.path] = self.seen.get(self.path, 0) + 1
        if kind == "good" or (kind == "flaky" and count > 1):
            self.answer(200, jpeg(int(number)))
        elif kind == "flaky":
            self.answer(503, b"")
        elif kind == "slow":
            self.release.wait(20)
        elif kind == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.release.wait(0.2):
                self.wfile.write(b"x")
        elif kind == "corrupt":
            self.answer(200, jpeg(1)[:700])
        elif kind == "page":
            self.answer(200, b"<html>not here any more</html>")
        elif kind == "huge":
            self.answer(200, bytes(3_000_000))
        elif kind == "cut":
            self.answer(200, jpeg(1), length=99_999)
        elif kind in ("private", "file", "loop"):
            self.send_response(302)
            to = {"private": f"http://{self.headers['Host']}/good/77", "file": "file:///etc/hostname", "loop": "/loop"}[
                kind
            ]
            self.send_header("Location", to)
            self.end_headers()
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[SimpleNamespace]:
    """The site on a free port: its `url`, and how often each path was `seen`."""
    handler: Any = type("Handler", (Site,), {"seen": {}, "release": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up, as they should
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_address[1]}", seen=handler.seen)
    handler.release.set()
    server.shutdown()
    server.server_close()
