"""Answering a challenge: inputs encoded once, scores by hand, strangers' files refused, and the way to a server."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.challenge import answer
from benchmarks.challenge_file import (
    CHALLENGE,
    RESPONSE,
    Vectors,
    canonical,
    products,
    read_challenge,
    read_response,
    write_response,
    write_zip,
)
from benchmarks.cli import main
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import Input

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[2] / "examples" / "my_encoder.py"
IDS = [f"{number:032x}" for number in range(1, 9)]
RED, BLUE, FIRST, SECOND, ONE, TWO, THREE, _ = IDS


def _png(colour: str, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


def _document(**changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "id": "a" * 32,
        "created": "2025-12-31T00:00:00Z",
        "expires": "2999-01-01T00:00:00Z",
        "commitment": "b" * 64,
        "instructions": {},
        "questions": [
            {"id": FIRST, "image": RED, "text": "in blue", "candidates": [ONE, TWO]},
            {"id": SECOND, "image": RED, "text": "", "candidates": [ONE, TWO, THREE]},
        ],
        "candidates": {
            ONE: [{"image": RED, "text": ""}],
            TWO: [{"image": BLUE, "text": ""}],
            THREE: [{"image": None, "text": "red"}, {"image": None, "text": "a red square"}],
        },
        "signature": "c" * 64,
        **changes,
    }


def _members(**changes: Any) -> dict[str, bytes]:
    pictures = {f"images/{RED}.png": _png("red"), f"images/{BLUE}.png": _png("blue")}
    return {CHALLENGE: canonical(_document(**changes)), **pictures}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "challenge.zip"
    path.write_bytes(write_zip(_members()))
    return path


class Mean:
    """The mean colour of the picture and the number of words; counts what it is asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        self.seen += [item.key for item in inputs]
        return np.stack([self.vector(item) for item in inputs])

    def vector(self, item: Input) -> np.ndarray:
        colour = np.asarray(item.image.load(), np.float32).mean((0, 1)) / 255 if item.image else np.zeros(3)
        return np.array([*colour, len(item.text.split()), 1.0], np.float32)


def test_scores_are_cosines_and_every_input_is_encoded_once(file: Path, tmp_path: Path) -> None:
    encoder = Mean()
    done = answer(encoder, str(file), tmp_path / "out.zip", submission="s1", now=NOW)
    response, vectors = read_response(done.path.read_bytes())
    assert vectors is None
    assert (response.challenge, response.signature) == ("a" * 32, "c" * 64)
    assert (response.submission, response.sent, response.encoder.name) == ("s1", "scores", "Mean")
    assert (response.created, done.questions, done.reply) == ("2026-01-01T00:00:00Z", 2, "")
    assert len(encoder.seen) == len(set(encoder.seen)) == 5  # red+text, red, blue, two prompts

    def unit(*values: float) -> np.ndarray:
        return np.array(values) / np.linalg.norm(values)

    prompts = unit(0, 0, 0, 1, 1) + unit(0, 0, 0, 3, 1)
    gallery = {ONE: unit(1, 0, 0, 0, 1), TWO: unit(0, 0, 1, 0, 1), THREE: unit(*prompts)}
    asked = {FIRST: unit(1, 0, 0, 2, 1), SECOND: unit(1, 0, 0, 0, 1)}
    assert {name: set(row) for name, row in response.scores.items()} == {FIRST: {ONE, TWO}, SECOND: {ONE, TWO, THREE}}
    for name, row in response.scores.items():
        assert row == pytest.approx({key: float(asked[name] @ gallery[key]) for key in row}, abs=1e-6)


def test_vectors_give_the_same_scores(file: Path, tmp_path: Path) -> None:
    for send in ("scores", "embeddings"):
        answer(Mean(), str(file), tmp_path / send, send=send, now=NOW)  # type: ignore[arg-type]
    response, vectors = read_response((tmp_path / "embeddings").read_bytes())
    told, _ = read_challenge(file.read_bytes(), "x")
    assert response.scores == {}
    assert vectors is not None
    assert vectors.candidates.dtype == np.float32
    found = products(vectors, {each.id: each.candidates for each in told.questions}, "x")
    assert found == read_response((tmp_path / "scores").read_bytes())[0].scores


def test_an_encoder_is_told_instructions_and_roles(tmp_path: Path) -> None:
    heard: set[tuple[str, str]] = set()

    class Asking(Mean):
        def encode(self, inputs: Sequence[Input], *, role: str, instruction: str) -> np.ndarray:  # type: ignore[override]
            heard.add((role, instruction))
            return super().encode(inputs)

    path = tmp_path / "c.zip"
    path.write_bytes(write_zip(_members(instructions={"query": "find it"})))
    answer(Asking(), str(path), tmp_path / "out.zip", now=NOW)
    assert heard == {("query", "find it"), ("candidate", "")}


def _zip(members: Mapping[str, bytes], kind: int = zipfile.ZIP_STORED, twice: str = "") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
        if twice:
            archive.writestr(twice, b"again")
    return stream.getvalue()


def _questions(**changes: Any) -> list[dict[str, Any]]:
    first, second = _document()["questions"]
    return [{**first, **changes}, second]


BAD = {
    "no zip": (b"GIF89a", "not a whole zip"),
    "cut short": (write_zip(_members())[:-30], "not a whole zip"),
    "leads out": (_zip({**_members(), "../evil.png": b"x"}), "no place in it"),
    "another member": (_zip({**_members(), "run.py": b"x"}), "no place in it"),
    "compressed": (_zip(_members(), zipfile.ZIP_DEFLATED), "compressed"),
    "a picture too many": (write_zip({**_members(), f"images/{IDS[7]}.png": _png("red")}), "fit together"),
    "a picture too few": (write_zip({CHALLENGE: canonical(_document())}), "fit together"),
    "a JPEG": (write_zip({**_members(), f"images/{RED}.png": _png("red", kind="JPEG")}), "no PNG"),
    "a damaged PNG": (write_zip({**_members(), f"images/{RED}.png": _png("red")[:20]}), "damaged|cut short"),
    "too large": (write_zip({**_members(), f"images/{RED}.png": _png("red", (1025, 1))}), "1025x1"),
    "no JSON": (write_zip({**_members(), CHALLENGE: b"{"}), "not as we write it"),
    "deep JSON": (write_zip({**_members(), CHALLENGE: b"[" * 100_000}), "not as we write it"),
    "a field too many": (write_zip(_members(code="import os")), "not as we write it"),
    "another schema": (write_zip(_members(schema=2)), "not as we write it"),
    "an id that is a path": (write_zip(_members(questions=_questions(image="../../etc/passwd"))), "not as we write it"),
    "a stranger in a pool": (write_zip(_members(questions=_questions(candidates=[ONE, IDS[7]]))), "fit together"),
    "an empty pool": (write_zip(_members(questions=_questions(candidates=[]))), "fit together"),
    "twice in a pool": (write_zip(_members(questions=_questions(candidates=[ONE, ONE]))), "fit together"),
    "an empty question": (write_zip(_members(questions=_questions(image=None, text=""))), "fit together"),
    "a question twice": (write_zip(_members(questions=_questions(id=SECOND))), "fit together"),
    "expired": (write_zip(_members(expires="2025-12-31T23:59:59Z")), "expired"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_before_anything_is_encoded(kind: str, tmp_path: Path) -> None:
    data, told = BAD[kind]
    path, encoder = tmp_path / "challenge.zip", Mean()
    path.write_bytes(data)
    with pytest.raises(UserError, match=told):
        answer(encoder, str(path), tmp_path / "out.zip", now=NOW)
    assert encoder.seen == []
    assert [each.name for each in tmp_path.iterdir()] == ["challenge.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "challenge.zip"
    path.write_bytes(_zip(_members(), twice=CHALLENGE))
    with pytest.raises(UserError, match="twice"):
        answer(Mean(), str(path), tmp_path / "out.zip", now=NOW)


@settings(max_examples=150)
@given(st.data())
def test_damage_is_a_user_error_or_nothing(data: st.DataObject) -> None:
    whole = write_zip(_members())
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    for read in (read_challenge, read_response):
        with suppress(UserError):  # any other error fails
            read(damaged, "x")


def test_a_response_that_is_not_ours_is_refused(file: Path, tmp_path: Path) -> None:
    answer(Mean(), str(file), tmp_path / "r", send="embeddings", now=NOW)
    data = (tmp_path / "r").read_bytes()
    response, vectors = read_response(data)
    assert vectors is not None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for wrong in (
        write_response(response),
        write_zip({**members, "embeddings.safetensors": b"\x80\x04."}),
        write_zip({**members, RESPONSE: members[RESPONSE].replace(b'"schema":1', b'"schema":"1"')}),
        write_zip({"embeddings.npz": b"x"}),
    ):
        with pytest.raises(UserError):
            read_response(wrong)
    assert read_response(write_response(response, Vectors(vectors.questions, vectors.candidates)))[0] == response


def test_the_command_line(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "response.zip"
    run = ["run", "--model", f"{EXAMPLE}:MyEncoder", "--challenge", str(file), "--output", str(out)]
    found = CliRunner().invoke(main, run)
    assert found.exit_code == 0
    assert "2 questions answered" in found.output
    assert set(read_response(out.read_bytes())[0].scores) == {FIRST, SECOND}
    again = CliRunner().invoke(main, run)
    assert again.exit_code == 2
    assert "exists" in again.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--challenge", "c.zip", "--suite", "quick"], "--suites: a challenge says itself"),
        (["--challenge", "c.zip", "--limit", "3"], "--limit: a challenge says itself"),
        (["--token-file", "t"], "--token-file: these are for --challenge"),
        (["--challenge", "c.zip", "--token-file", "t"], "this one is a file"),
        (["--challenge", "gone.zip"], "cannot be read"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], told: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(main, ["run", "--model", f"{EXAMPLE}:MyEncoder", "--output", f"{tmp_path}/o", *options])
    assert found.exit_code in (1, 2)
    assert told in found.output


@contextmanager
def _server(status: int = 201) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    asked: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers.get("Authorization", ""), body))
            reply = write_zip(_members())
            if self.path.endswith("/response"):
                reply = json.dumps({"sentence": "It is\x1b[31m credible."}).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret-token\n")
    return path


def test_a_server_is_asked_and_answered_with_the_token(tmp_path: Path, token: Path) -> None:
    with _server() as (url, asked):
        done = answer(Mean(), url, tmp_path / "out.zip", submission="s", token_file=token, now=NOW)
    assert [(path, key) for path, key, _ in asked] == [
        ("/api/v1/challenges", "Bearer secret-token"),
        (f"/api/v1/challenges/{'a' * 32}/response", "Bearer secret-token"),
    ]
    assert asked[1][2] == done.path.read_bytes()
    assert done.reply == "It is [31m credible."


@pytest.mark.parametrize("status", [302, 401, 500])
def test_a_refusal_is_told_and_no_redirect_is_followed(status: int, tmp_path: Path, token: Path) -> None:
    with _server(status) as (url, asked), pytest.raises(UserError, match=str(status)):
        answer(Mean(), url, tmp_path / "out.zip", token_file=token, now=NOW)
    assert len(asked) == 1


def test_a_token_goes_nowhere_unencrypted_and_is_never_shown(tmp_path: Path, token: Path) -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        answer(Mean(), "http://example.org", tmp_path / "out.zip", token_file=token, now=NOW)
    token.write_text("two words")
    with pytest.raises(UserError, match="token alone") as refused:
        answer(Mean(), "https://example.org", tmp_path / "out.zip", token_file=token, now=NOW)
    assert "two words" not in str(refused.value)
