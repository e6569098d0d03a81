"""A small real web server for tests: files by name, ranges, redirects, and connections that break off when told to."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """`files` by path; bodies end after `cut` bytes; `slow` seconds between blocks; `asked` holds (path, Range)."""

    files: dict[str, bytes]
    cut: int | None = None
    slow: float = 0.0
    ranges: bool = True
    tags: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    base: str = ""


@contextmanager
def serving(web: Web) -> Iterator[Web]:
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            web.asked.append((self.path, self.headers.get("Range", "")))
            if self.path in web.redirects:
                self.send_response(302)
                self.send_header("Location", web.redirects[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif self.path not in web.files:
                self.send_error(404)
            else:
                self._send(web.files[self.path])

        def _send(self, body: bytes) -> None:
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            wanted = self.headers.get("Range", "")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            whole = not (web.ranges and wanted and self.headers.get("If-Range") == tag)
            if not whole and start >= len(body):
                self.send_error(416)
                return
            rest = body if whole else body[start:]
            self.send_response(200 if whole else 206)
            if web.tags:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(rest)))
            if not whole:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            sent = rest if web.cut is None else rest[: web.cut]
            for place in range(0, len(sent), 4096):
                self.wfile.write(sent[place : place + 4096])
                if web.slow and stop.wait(web.slow):
                    return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    web.base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
