"""A hub on the loopback: serves folders in the hub's own URL and header layout, so that its real client can be used."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_testtoken"


@dataclass
class Hub:
    """Repositories by name, those that need the token, one status for every answer if set, and what was asked."""

    repos: dict[str, Path] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    status: int | None = None
    url: str = ""
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            if hub.status is not None:
                return self.refuse(hub.status)
            parts = self.path.strip("/").split("/")
            if len(parts) != 5 or parts[2] != "resolve":
                return self.refuse(404)
            repo, revision, name = "/".join(parts[:2]), parts[3], parts[4]
            if repo in hub.private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.refuse(401, "RepoNotFound")
            if repo not in hub.repos:
                return self.refuse(404, "RepoNotFound")
            if revision not in ("main", COMMIT):
                return self.refuse(404, "RevisionNotFound")
            path = hub.repos[repo] / name
            if not path.is_file():
                return self.refuse(404, "EntryNotFound")
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def refuse(self, status: int, code: str = "") -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            if code == "EntryNotFound":
                self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The test's output stays its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
