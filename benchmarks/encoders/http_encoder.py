"""An encoder behind HTTP: an OpenAI-compatible server of text embeddings, or one that takes images and pairs too.

`schema=openai` (texts only), as OpenAI, vLLM, text-embeddings-inference and Ollama serve it; the URL ends in /v1:

    POST URL/embeddings  {"model": NAME, "input": ["...", ...], "encoding_format": "float" or "base64"}
    -> {"data": [{"index": 0, "embedding": [0.1, ...] or base64 of little-endian float32}, ...]}

`schema=fuselip` (texts, images, and pairs of both), which is small enough to put before any model:

    POST URL/embed  {"inputs": [{"text": "...", "image": base64 of a PNG or JPEG file}, ...],
                     "role": "query" or "candidate", "instruction": "..."}
    -> {"vectors": [[0.1, ...], ...]}

Each input has a text, an image, or both; `instruction` may be empty; `model` is added where one was named. Vectors
come in the order of the inputs, all of one length, and need not be normalised. Errors are HTTP statuses: 408, 425,
429 and 500 to 504 are asked again after a while (Retry-After is obeyed), others end the run with the server's words.
A key is taken from the environment variable that `api_key_env` names, sent as a bearer token, and recorded nowhere.
Redirects are not followed: they could carry the key elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from benchmarks.encoders.libraries import picture
from fuselip.core.encoder import EncoderInfo, Limits, Role, Weights
from fuselip.core.errors import UsageError, UserError
from fuselip.core.http import Backoff, Client, HttpFailure, split
from fuselip.core.provenance import redact
from fuselip.core.types import ImageRef, Input

MAX_REQUEST = 32 << 20  # bytes; larger batches are sent in parts
MAX_REPLY = 256 << 20


def load(
    url: str,
    *,
    schema: Literal["openai", "fuselip"] = "openai",
    model: str = "",
    encoding: Literal["float", "base64"] = "float",
    image_format: Literal["png", "jpeg"] = "png",
    max_chars: int | None = None,
    batch: int = 32,
    timeout: float = 60.0,
    attempts: int = 5,
    api_key_env: str = "",
    offline: bool = False,
) -> HttpEncoder:
    """The server at http(s)://HOST[:PORT][/PATH]; what it serves cannot be known, so nothing is reused by later runs.

    `batch`: inputs in one request. `timeout`: seconds for one request. `max_chars`: texts are cut to it (servers refuse
    longer ones). `offline` allows servers on this machine. Raises UsageError for a URL with credentials in it, for a
    variable that is not set, and for a server elsewhere while offline.
    """
    if offline and split(url)[1] not in ("localhost", "127.0.0.1", "::1"):
        raise UsageError(f"{url} is not on this machine, and --offline forbids the network; leave one of them out")
    if batch < 1 or attempts < 1 or timeout <= 0 or (max_chars is not None and max_chars < 1):
        raise UsageError("--model-arg batch, attempts, timeout and max_chars are above 0")
    key = os.environ.get(api_key_env, "") if api_key_env else ""
    if api_key_env and not key:
        raise UsageError(f"the environment variable {api_key_env} is not set; set it to the server's key")
    if schema == "openai" and not model:
        raise UsageError("an OpenAI-compatible server wants a model's name: --model-arg model=...")
    return HttpEncoder(url, schema, model, encoding, image_format, max_chars, batch, timeout, attempts, key)


class HttpEncoder:
    """One server, asked in batches."""

    def __init__(
        self,
        url: str,
        schema: str,
        model: str,
        encoding: str,
        image_format: str,
        max_chars: int | None,
        batch: int,
        timeout: float,
        attempts: int,
        key: str = "",
    ) -> None:
        path = "/embeddings" if schema == "openai" else "/embed"
        url = url.rstrip("/").removesuffix(path)
        _, host, _, _ = split(url)
        self.url, self.path, self.schema, self.model = url, path, schema, model
        self.encoding, self.image_format, self.max_chars = encoding, image_format, max_chars
        self.limits = Limits(images=batch, inputs=batch)
        self._key = key
        self._client = Client(url, {"Authorization": f"Bearer {key}"} if key else {}, timeout, MAX_REPLY)
        self._backoff = Backoff(attempts=attempts)
        self.info = EncoderInfo(
            name=f"http:{model or host}",
            fusion="none: texts only" if schema == "openai" else "the server's own",
            instructions="ignored" if schema == "openai" else "native",
            roles="ignored" if schema == "openai" else "used",
            precision="unknown",
            weights=Weights("http", url),
            settings={
                "url": url,
                "schema": schema,
                "model": model,
                "encoding": encoding,
                "image_format": image_format,
                "max_chars": max_chars,
            },
        )

    def prepare(self, inputs: Sequence[Input]) -> list[dict[str, str]]:
        """The inputs as they are sent: {"text", "image"}, the image as base64 of a file."""
        seen: dict[str, str] = {}
        return [self._sent(item, seen) for item in inputs]

    def encode(
        self, inputs: Sequence[Input] | list[dict[str, str]], *, role: Role = "query", instruction: str = ""
    ) -> np.ndarray:
        """float32 [N, D], as the server gives them. Raises UserError for a refusal and for a reply of another form."""
        sent = [item if isinstance(item, dict) else self.prepare([item])[0] for item in inputs]
        return np.concatenate([self._ask(part, role, instruction) for part in _parts(sent, MAX_REQUEST)])

    def _sent(self, item: Input, seen: dict[str, str]) -> dict[str, str]:
        value = {"text": item.text[: self.max_chars]} if item.text else {}
        if item.image is None:
            return value
        if self.schema == "openai":
            raise UserError(
                f"{self.info.name} embeds texts only, and got an input of {item.modality}; leave tasks with images out "
                "(name others with --task), or serve the model with --model-arg schema=fuselip"
            )
        if item.image.key not in seen:
            seen[item.image.key] = _file(item.image, self.image_format)
        return {**value, "image": seen[item.image.key]}

    def _ask(self, part: list[dict[str, str]], role: Role, instruction: str) -> np.ndarray:
        body: dict[str, Any] = {"model": self.model} if self.model else {}
        if self.schema == "openai":
            body |= {"input": [item["text"] for item in part], "encoding_format": self.encoding}
        else:
            body |= {"inputs": part, "role": role, "instruction": instruction}
        try:
            reply = self._backoff.call(lambda: self._client.post(self.path, body))
        except HttpFailure as failure:
            said = redact(str(failure))
            said = said.replace(self._key, "[key]") if self._key else said
            raise UserError(f"{self.url}{self.path} gave no vectors: {' '.join(said.split())[:400]}") from None
        try:
            rows = _openai_rows(reply, len(part)) if self.schema == "openai" else reply["vectors"]
            if not isinstance(rows, list) or len(rows) != len(part):
                raise ValueError(f"{len(rows) if isinstance(rows, list) else 'no'} vectors for {len(part)} inputs")
            return _matrix(rows)
        except (ValueError, TypeError, KeyError, IndexError, binascii.Error) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(
                f"{self.url}{self.path} replied in another form than schema={self.schema}: {what}; the form is "
                "described in benchmarks/encoders/http_encoder.py"
            ) from error


def _file(ref: ImageRef, image_format: str) -> str:
    buffer = io.BytesIO()
    options = {"quality": 95} if image_format == "jpeg" else {"compress_level": 1}
    picture(ref).save(buffer, image_format.upper(), **options)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _parts(sent: list[dict[str, str]], most: int) -> Iterator[list[dict[str, str]]]:
    """The inputs in their order, in parts of at most `most` bytes. UserError for one that alone is larger."""
    part: list[dict[str, str]] = []
    total = 0
    for item in sent:
        size = len(json.dumps(item))
        if size > most:
            raise UserError(
                f"an input of {size >> 20} MiB is over the {most >> 20} MiB of a request; make the image smaller, or "
                "send it with --model-arg image_format=jpeg"
            )
        if part and total + size > most:
            yield part
            part, total = [], 0
        part.append(item)
        total += size
    yield part


def _openai_rows(reply: Any, count: int) -> list[Any]:
    """By `index`: servers need not keep the order."""
    rows: dict[int, Any] = {row["index"]: row["embedding"] for row in reply["data"]}
    if len(reply["data"]) != count or set(rows) != set(range(count)):
        raise ValueError(f"{len(reply['data'])} vectors, not one for each of {count} inputs")
    return [rows[index] for index in range(count)]


def _matrix(rows: list[Any]) -> np.ndarray:
    """float32 [N, D] of lists of numbers, or of base64 of little-endian float32."""
    if not all(isinstance(row, str | list) and row for row in rows):
        raise ValueError("a vector is neither a list of numbers nor base64")
    vectors = [
        np.frombuffer(base64.b64decode(row, validate=True), "<f4") if isinstance(row, str) else np.asarray(row)
        for row in rows
    ]
    if len({vector.shape for vector in vectors}) != 1 or vectors[0].ndim != 1:
        raise ValueError("vectors of different length")
    if any(vector.dtype.kind not in "fi" for vector in vectors):
        raise ValueError("vectors of something else than numbers")
    return np.stack(vectors).astype(np.float32)
