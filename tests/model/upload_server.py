"""A hub on the loopback that takes commits, in the hub's own URLs and JSON, so that its real client can be used."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
TOKEN = "hf_testtoken"


@dataclass
class Uploads:
    """What was made and sent: whether each repository is private, its files, and the messages of its commits."""

    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve_uploads(uploads: Uploads) -> Iterator[Uploads]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(401, {"error": "who are you?"})
            path = self.path.partition("?")[0]
            if path == "/api/validate-yaml":
                return self.answer(200, {"errors": [], "warnings": []})
            if path == "/api/repos/create":
                return self.create(json.loads(body))
            parts = path.strip("/").split("/")  # api/models/OWNER/NAME/preupload/main
            repo = "/".join(parts[2:4])
            if parts[:2] != ["api", "models"] or repo not in uploads.files:
                return self.answer(404, {"error": "no such repository"})
            if parts[4] == "preupload":
                modes = {"uploadMode": "regular", "shouldIgnore": False}
                return self.answer(200, {"files": [{"path": f["path"], **modes} for f in json.loads(body)["files"]]})
            return self.commit(repo, body)

        def create(self, given: dict[str, Any]) -> None:
            repo = f"{given['organization']}/{given['name']}"
            if repo in uploads.files:
                return self.answer(409, {"error": "there is one", "url": f"{uploads.url}/{repo}"})
            uploads.private[repo] = given.get("visibility") == "private" or bool(given.get("private"))
            uploads.files[repo] = {}
            self.answer(200, {"url": f"{uploads.url}/{repo}"})

        def commit(self, repo: str, body: bytes) -> None:
            for line in body.decode().splitlines():
                row = json.loads(line)
                if row["key"] == "header":
                    uploads.messages.append(row["value"]["summary"])
                else:
                    uploads.files[repo][row["value"]["path"]] = base64.b64decode(row["value"]["content"])
            self.answer(200, {"commitUrl": f"{uploads.url}/{repo}/commit/{COMMIT}", "commitOid": COMMIT})

        def answer(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """The test's output stays its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    uploads.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield uploads
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
