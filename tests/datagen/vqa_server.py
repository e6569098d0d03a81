"""A chat server on this machine that answers well or misbehaves as told, and captions to ask it about."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from datagen.sources.types import Rejected, SourceItem
from fuselip.core.types import ImageRef

OPENINGS = ("What is it, exactly", "Where can this be", "Which scene is it", "How does it look", "Who or what is there")
# (caption, how often it was asked before) -> a mode of `Handler`
Plan = Callable[[str, int], str]


def caption(number: int) -> str:
    return f"a red kite over field {number}"


class Captions:
    """A source of `count` images with a caption each."""

    name = "made:captions"

    def __init__(self, count: int) -> None:
        self.count = count

    def items(self) -> Iterator[SourceItem | Rejected]:
        for number in range(self.count):
            yield SourceItem(f"{number}.jpg", ImageRef(f"{number:064x}"), (caption(number),))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, plan: Plan, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.seconds = plan, seconds
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.sent = 0
        self.busy = self.most = 0
        self.lock = threading.Lock()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        """Clients of these tests break off."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"].removeprefix("Sentence: ").partition("\n")[0]
        server = self.server
        with server.lock:
            times = server.asked[asked]
            server.asked[asked] += 1
            server.bodies.append(body)
            server.keys.add(self.headers.get("Authorization"))
            server.busy += 1
            server.most = max(server.most, server.busy)
        try:
            time.sleep(server.seconds)
            mode, _, rest = server.plan(asked, times).partition(" ")
            getattr(self, f"do_{mode}")(asked, rest)
        finally:
            with server.lock:
                server.busy -= 1

    def do_ok(self, asked: str, _: str) -> None:
        number = int(re.findall(r"\d+", asked)[-1])
        self.do_say(asked, f"Question: {OPENINGS[number % len(OPENINGS)]}?\nAnswer: {asked}.")

    def do_say(self, asked: str, text: str, end: str = "stop") -> None:
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": end}
        self.do_json(asked, json.dumps({"choices": [choice]}))

    def do_cut(self, asked: str, text: str) -> None:
        self.do_say(asked, text, "length")

    def do_json(self, _: str, text: str) -> None:
        self._answer(200, text.encode())

    def do_status(self, _: str, rest: str) -> None:
        status, _, wait = rest.partition(" ")
        self._answer(int(status), f"no: {self.headers.get('Authorization')}".encode(), wait)

    def do_hang(self, _: str, __: str) -> None:
        time.sleep(30)

    def do_drip(self, _: str, __: str) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def do_truncated(self, _: str, __: str) -> None:
        self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"choices": [')
        self.close_connection = True

    def do_huge(self, _: str, __: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _i in range(256):
            self.server.sent += self.wfile.write(b" " * (1 << 20))

    def do_vanish(self, _: str, __: str) -> None:
        self.close_connection = True

    def _answer(self, status: int, data: bytes, wait: str = "") -> None:
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(data)}\r\n"
        head += f"Retry-After: {wait}\r\n" if wait else ""
        self.wfile.write(head.encode() + b"\r\n" + data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(plan: Plan | None = None, seconds: float = 0.0) -> Iterator[Server]:
    server = Server(plan or (lambda asked, times: "ok"), seconds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
