"""Answering a leaderboard's challenge: its fresh questions embedded once, and the scores (or the vectors) sent back."""

from __future__ import annotations

import http.client
import ipaddress
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.challenge_file import (
    CHALLENGE_CAPS,
    SCHEMA,
    Challenge,
    Part,
    Response,
    Told,
    Vectors,
    products,
    read_challenge,
    write_response,
)
from benchmarks.encoders import Adapted, adapt, resolve
from benchmarks.evaluation import open_store
from benchmarks.ranked import Vectors as Lookup
from benchmarks.session import Listener, Loaded, source_items, source_of
from benchmarks.types import Candidate, Query, TaskData, TaskSpec
from fuselip.core.embed import embed
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import write_bytes
from fuselip.core.http import split
from fuselip.core.towers import JoinedEmbeddings, Separable
from fuselip.core.types import ImageRef, Input

API = "/api/v1/challenges"
TIMEOUT = 180.0
"""Seconds without a byte: a server draws the pictures, and derives them again to score, while it is waited for."""

MAX_REPLY = 1 << 20
MAX_TOKEN = 4096

Sent = Literal["scores", "embeddings"]


@dataclass(frozen=True)
class Answered:
    """Where the response lies, how many questions it answers, and what the server said of it ("" without one)."""

    path: Path
    questions: int
    reply: str


def answer(
    encoder: Any,
    challenge: str,
    output: Path,
    *,
    submission: str = "",
    token_file: Path | None = None,
    send: Sent = "scores",
    listener: Listener | None = None,
    now: datetime | None = None,
) -> Answered:
    """Answer the challenge in a file, or one that the leaderboard at a URL (https://HOST) makes.

    The response is written to `output`, and sent back to that server. `submission` is the id of the row that it is to
    support. The token goes to that host only, and only encrypted or within this machine. Raises UserError or
    UsageError for what the caller can mend.
    """
    if output.exists():
        raise UsageError(f"{output} exists; a challenge counts once: name another --output, or send that one")
    server = _Server(challenge, token_file) if "://" in challenge else None
    if token_file and not server:
        raise UsageError("--token-file is for a challenge at a URL; this one is a file")
    data = server.ask() if server else _read(Path(challenge))
    told, pictures = read_challenge(data, challenge)
    if told.expires <= (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"):
        raise UserError(f"the challenge expired at {told.expires}; ask for a new one")
    embedder = adapt(resolve(encoder) if isinstance(encoder, str) else encoder)
    response, vectors = respond(embedder, told, pictures, submission, send, listener or Listener(), now)
    body = write_response(response, vectors)
    write_bytes(output, body)  # before it is sent: whatever happens on the way, the work is kept
    return Answered(output, len(told.questions), server.send(told.id, body) if server else "")


def respond(
    embedder: Adapted,
    told: Challenge,
    pictures: Mapping[str, ImageRef],
    submission: str = "",
    send: Sent = "scores",
    listener: Listener | None = None,
    now: datetime | None = None,
) -> tuple[Response, Vectors | None]:
    """Every distinct input is encoded once; nothing of it stays in the shared cache."""
    data = questions_of(told, pictures)
    part = Loaded(TaskSpec("challenge", SCHEMA, "", "fresh questions"), data, {"model": data.queries})
    with ExitStack() as stack:
        source = source_of(embedder)
        store = stack.enter_context(open_store(source, None, False, stack))
        found = embed(source, source_items(embedder, list(part.items())), store, (listener or Listener()).progress)
    joined = JoinedEmbeddings.of(found, embedder.encoder) if isinstance(embedder.encoder, Separable) else found
    lookup = Lookup(joined, embedder, part)
    asked_QD = lookup.queries(data.queries)
    contents, gallery_GD = lookup.gallery()
    row_of = {content: row for row, content in enumerate(contents)}
    rows = [row_of[data.candidates[key].content] for key in sorted(data.candidates)]
    vectors = Vectors(asked_QD, gallery_GD[np.array(rows)])
    pools = {each.id: each.candidates for each in told.questions}
    response = Response(
        schema=SCHEMA,
        challenge=told.id,
        signature=told.signature,
        encoder=_told(embedder),
        submission=submission,
        created=(now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        sent=send,
        scores={} if send == "embeddings" else products(vectors, pools, embedder.info.label),
    )
    return response, vectors if send == "embeddings" else None


def questions_of(told: Challenge, pictures: Mapping[str, ImageRef]) -> TaskData:
    """The challenge as a task without answers, its queries in the order of their ids."""

    def shown(part: Part) -> Input:
        return Input(part.text, pictures[part.image] if part.image else None)

    asked = sorted(told.questions, key=lambda each: each.id)
    queries = [Query(each.id, shown(Part(each.image, each.text)), {}, tuple(each.candidates)) for each in asked]
    candidates = {key: Candidate(key, tuple(map(shown, parts))) for key, parts in told.candidates.items()}
    return TaskData(tuple(queries), candidates, instructions=dict(told.instructions))


def _told(embedder: Adapted) -> Told:
    info = embedder.info
    return Told(**{each: getattr(info, each) for each in Told.__struct_fields__})


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(CHALLENGE_CAPS.total + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check --challenge") from error


class _Server:
    """A leaderboard's server: it makes a challenge when asked, and takes the response. No redirect is followed."""

    def __init__(self, url: str, token_file: Path | None) -> None:
        self._scheme, self._host, self._port, self._path = split(url.removesuffix("/").removesuffix(API) or url)
        self._headers = {"User-Agent": "fuselip"}
        if token_file is not None:
            if self._scheme != "https" and not _is_loopback(self._host):
                raise UsageError(f"{url} is not encrypted, and a token sent to it could be read; write https://")
            self._headers["Authorization"] = f"Bearer {_token(token_file)}"

    def ask(self) -> bytes:
        return self._post(API, b"{}", "application/json", CHALLENGE_CAPS.total)

    def send(self, id: str, body: bytes) -> str:
        """What the server says of the response, fit for a terminal."""
        reply = self._post(f"{API}/{id}/response", body, "application/zip", MAX_REPLY)
        try:
            told = json.loads(reply)
        except (ValueError, RecursionError):
            told = None
        sentence = told.get("sentence") if isinstance(told, dict) else None
        return _printable(str(sentence).encode() if sentence else reply[:2000])

    def _post(self, path: str, body: bytes, kind: str, most: int) -> bytes:
        connect = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        connection = connect(self._host, self._port, timeout=TIMEOUT)
        try:
            connection.request("POST", self._path + path, body, {**self._headers, "Content-Type": kind})
            response = connection.getresponse()
            data = response.read(most + 1)
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"{self._host} could not be asked ({error}); try again later") from error
        finally:
            connection.close()
        if response.status not in (200, 201, 202):
            raise UserError(f"{self._host} refused it ({response.status}): {_printable(data[:2000])}")
        if len(data) > most or response.length:
            raise UserError(f"the reply of {self._host} is cut short or over {most} bytes; try again later")
        return data


def _token(path: Path) -> str:
    """The token in a file. The message never quotes it."""
    try:
        text = path.read_bytes()[: MAX_TOKEN + 1].decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"the token file {path} cannot be read; check --token-file") from None
    if not 8 <= len(text) <= MAX_TOKEN or not all("!" <= sign <= "~" for sign in text):
        raise UserError(f"{path} does not hold a token alone; write the token you were given into it, nothing else")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _printable(data: bytes) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in data.decode("utf-8", "replace")).strip()
