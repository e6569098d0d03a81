"""An encoder behind HTTP, against a server on this machine that answers well or misbehaves as told."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.encoders import Adapted, resolve
from benchmarks.encoders.http_encoder import _parts
from benchmarks.testing import check
from fuselip.core import seeds
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef, Input

DIM = 16
Reply = tuple[int, dict[str, str], bytes]
Plan = Callable[["Server", dict[str, Any]], Reply]


def vector(*parts: Any) -> list[float]:
    """A direction that follows from the parts alone."""
    drawn = seeds.generator(*(str(part) for part in parts)).standard_normal(DIM)
    return [float(value) for value in drawn.astype(np.float32)]


def replied(value: Any, status: int = 200, **headers: str) -> Reply:
    return status, headers, json.dumps(value).encode()


def openai(_: Server, body: dict[str, Any]) -> Reply:
    rows = []
    for index, text in enumerate(body["input"]):
        row: Any = vector(text)
        if body["encoding_format"] == "base64":
            row = base64.b64encode(np.asarray(row, "<f4").tobytes()).decode()
        rows.append({"index": index, "embedding": row, "object": "embedding"})
    return replied({"data": rows[::-1], "model": body["model"]})


def multimodal(_: Server, body: dict[str, Any]) -> Reply:
    rows = []
    for item in body["inputs"]:
        total = np.zeros(DIM)
        if "image" in item:
            image = Image.open(io.BytesIO(base64.b64decode(item["image"])))
            assert image.mode == "RGB"
            total += vector(image.tobytes())
        if "text" in item:
            total += vector(item["text"], body["role"], body["instruction"])
        rows.append(total.tolist())
    return replied({"vectors": rows})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: Plan = openai
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        """Clients of these tests break off."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, self.headers.get("Authorization")))
        status, headers, data = self.server.plan(self.server, body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def encoder(server: Server, **arguments: str) -> Adapted:
    return resolve(server.url, {"model": "m", **arguments})


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_texts_by_index(server: Server, encoding: str) -> None:
    found = encoder(server, encoding=encoding).encode([Input("a"), Input("b"), Input("a")])
    assert np.array_equal(found, np.asarray([vector("a"), vector("b"), vector("a")], np.float32))
    path, body, key = server.asked[0]
    assert path == "/v1/embeddings"
    assert body == {"model": "m", "input": ["a", "b", "a"], "encoding_format": encoding}
    assert key is None


def test_openai_refuses_images(server: Server) -> None:
    image = ImageRef.from_pil(Image.new("RGB", (3, 2)))
    with pytest.raises(UserError, match="texts only, and got an input of image"):
        encoder(server).encode([Input("a"), Input(image=image)])
    assert server.asked == []
    with pytest.raises(UsageError, match="--model-arg model="):
        resolve(server.url)


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_multimodal_contract(server: Server, image_format: str) -> None:
    server.plan = multimodal
    found = check(encoder(server, schema="fuselip", image_format=image_format))
    assert not [str(finding) for finding in found if finding.status == "fail"]
    assert {body["role"] for _, body, _ in server.asked} == {"query", "candidate"}
    assert {path for path, _, _ in server.asked} == {"/v1/embed"}


def test_multimodal_pixels_role_and_instruction_arrive(server: Server) -> None:
    server.plan = multimodal
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    pair = Input("turn it", ImageRef.from_pil(Image.fromarray(pixels)))
    made = encoder(server, schema="fuselip")
    found = made.encode(made.prepare([pair]), role="candidate", instruction="find")
    expected = np.add(vector(pixels.tobytes()), vector("turn it", "candidate", "find"))
    assert np.abs(found[0] - expected).max() < 1e-6


def test_asked_again_after_a_passing_failure(server: Server) -> None:
    def plan(server: Server, body: dict[str, Any]) -> Reply:
        if len(server.asked) < 3:
            return replied({"error": "busy"}, 503 if len(server.asked) == 1 else 429, Retry_After="0")
        return openai(server, body)

    server.plan = plan
    assert encoder(server).encode([Input("a")]).shape == (1, DIM)
    assert len(server.asked) == 3


def test_a_refusal_ends_it_at_once_and_shows_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBED_KEY", "opensesame-123")
    server.plan = lambda server, _: replied({"error": f"bad key {server.asked[-1][2]}"}, 401)
    made = encoder(server, api_key_env="EMBED_KEY")
    with pytest.raises(UserError, match="http_401") as caught:
        made.encode([Input("a")])
    assert server.asked == [("/v1/embeddings", server.asked[0][1], "Bearer opensesame-123")]
    assert "opensesame" not in str(caught.value)
    assert "opensesame" not in f"{made.info} {made.origin} {made.arguments}"
    monkeypatch.delenv("EMBED_KEY")
    with pytest.raises(UsageError, match="EMBED_KEY is not set"):
        encoder(server, api_key_env="EMBED_KEY")


def test_time_is_bounded(server: Server) -> None:
    def plan(_: Server, body: dict[str, Any]) -> Reply:
        time.sleep(3)
        return openai(_, body)

    server.plan = plan
    started = time.monotonic()
    with pytest.raises(UserError, match=r"timeout: no reply within 0\.1 s"):
        encoder(server, timeout="0.1", attempts="1").encode([Input("a")])
    assert time.monotonic() - started < 2.5


def test_redirects_are_not_followed(server: Server) -> None:
    server.plan = lambda server, _: (307, {"Location": f"{server.url}/elsewhere"}, b"")
    with pytest.raises(UserError, match="http_307"):
        encoder(server).encode([Input("a")])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({}, "no 'data'"),
        ([], "another form"),
        ({"data": []}, "not one for each of 2"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}, "not one for each of 2"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]}, "different length"),
        ({"data": [{"index": 0, "embedding": ["x"]}, {"index": 1, "embedding": ["y"]}]}, "something else than numbers"),
        ({"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]}, "neither a list of numbers"),
        ({"data": [{"index": 0, "embedding": "?"}, {"index": 1, "embedding": "?"}]}, "another form"),
        ({"data": [{"index": 0, "embedding": "AAA="}, {"index": 1, "embedding": "AAA="}]}, "another form"),
        ({"data": [{"index": 0, "embedding": [[1.0]]}, {"index": 1, "embedding": [[1.0]]}]}, "different length"),
        ({"data": [{"index": [], "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]}, "another form"),
        ({"data": [{"index": 0, "embedding": [1e999]}, {"index": 1, "embedding": [1.0]}]}, "returned inf"),
    ],
)
def test_replies_of_another_form(server: Server, reply: Any, words: str) -> None:
    server.plan = lambda *_: replied(reply)
    with pytest.raises(UserError, match=words):
        encoder(server).encode([Input("a"), Input("b")])


def test_no_json_and_no_server(server: Server) -> None:
    server.plan = lambda *_: (200, {}, b"<html>")
    with pytest.raises(UserError, match="not_json"):
        encoder(server, attempts="1").encode([Input("a")])
    with pytest.raises(UserError, match="gave no vectors: connection"):
        resolve("http://127.0.0.1:9/v1", {"model": "m", "attempts": "1"}).encode([Input("a")])


def test_parts_keep_order_and_size() -> None:
    sent = [{"text": "x" * size} for size in (10, 80, 5, 5, 60)]
    parts = list(_parts(sent, 100))
    assert [item for part in parts for item in part] == sent
    assert all(len(part) == 1 or sum(len(json.dumps(item)) for item in part) <= 100 for part in parts)
    with pytest.raises(UserError, match="over the"):
        list(_parts([{"text": "x" * 200}], 100))


def test_texts_are_cut_where_asked(server: Server) -> None:
    encoder(server, max_chars="3").encode([Input("abcdef")])
    assert server.asked[0][1]["input"] == ["abc"]


def test_what_is_recorded(server: Server) -> None:
    info = encoder(server).info
    assert info.fingerprint is None  # what a server runs cannot be known
    assert info.settings["url"] == server.url
    assert info.fusion == "none: texts only"
    with pytest.raises(UsageError, match="credentials"):
        resolve("http://user:secret@127.0.0.1/v1", {"model": "m"})
    with pytest.raises(UsageError, match="--offline forbids"):
        resolve("https://example.org/v1", {"model": "m"}, offline=True)
    assert resolve(f"{server.url}/embeddings", {"model": "m"}, offline=True).encode([Input("a")]).shape == (1, DIM)
