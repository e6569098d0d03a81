"""The files of a challenge: fresh questions without answers as a zip, and the response to them; both read as untrusted.

A challenge holds challenge.json and images/<id>.png; a response holds response.json and, where vectors were sent,
embeddings.safetensors. Ids are random to whoever lacks the server's secret; order follows from ids and says nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from benchmarks.vectors import check_vectors, unit
from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.types import EncodedBytes, ImageRef

SCHEMA: Literal[1] = 1
ID = r"[0-9a-f]{32}"
CHALLENGE, RESPONSE, VECTORS = "challenge.json", "response.json", "embeddings.safetensors"
MAX_SIDE = 1024
"""Pixels a side of a challenge's picture; ours have 256 at most."""

_PNG = b"\x89PNG\r\n\x1a\n"
_TIME = (1980, 1, 1, 0, 0, 0)

Id = Annotated[str, Meta(pattern=f"^{ID}$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Text = Annotated[str, Meta(max_length=2000)]
Short = Annotated[str, Meta(max_length=300)]
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True)
class Caps:
    """What a stranger's zip may hold, in bytes unless said otherwise; `allowed` matches whole names of members."""

    allowed: str
    total: int
    member: int
    members: int = 2


CHALLENGE_CAPS = Caps(rf"{re.escape(CHALLENGE)}|images/{ID}\.png", 256 << 20, 32 << 20, 20_000)
RESPONSE_CAPS = Caps(rf"{re.escape(RESPONSE)}|{re.escape(VECTORS)}", 64 << 20, 64 << 20)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is embedded: a text, a picture by its id, or both."""

    image: Id | None = None
    text: Text = ""


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part that asks, and the ids of the candidates that it ranks."""

    id: Id
    image: Id | None
    text: Text
    candidates: list[Id]


class Challenge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """challenge.json. Several parts of a candidate are pooled: normalised, averaged, normalised.

    `commitment` binds the server to its secret seed, which it publishes after `expires`; `signature` is its HMAC.
    """

    schema: Literal[1]
    id: Id
    created: Time
    expires: Time
    commitment: Digest
    instructions: dict[Literal["query", "candidate"], Text]
    questions: list[Question]
    candidates: dict[Id, list[Part]]
    signature: Digest


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the encoder says of itself, as in `fuselip.core.encoder.EncoderInfo`."""

    name: Short
    revision: Short | None = None
    dim: int | None = None
    fusion: Short = "unknown"
    instructions: Short = "ignored"
    roles: Short = "used"
    precision: Short = "fp32"
    params: int | None = None
    licence: Short | None = None
    fingerprint: Short | None = None


class Response(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """response.json. `scores`: {question: {candidate: score}}, {} where vectors are sent. `submission`: whose row."""

    schema: Literal[1]
    challenge: Id
    signature: Digest
    encoder: Told
    submission: Short
    created: Time
    sent: Literal["scores", "embeddings"]
    scores: dict[Id, dict[Id, float]]


@dataclass(frozen=True)
class Vectors:
    """float32 [questions, D] and [candidates, D], in the order of the sorted ids."""

    questions: np.ndarray
    candidates: np.ndarray


def products(vectors: Vectors, pools: Mapping[str, Sequence[str]], encoder: str) -> dict[str, dict[str, float]]:
    """Cosines: {question: {candidate: score}}. Raises UserError, naming the encoder, for unusable vectors."""
    names, candidates = sorted(pools), sorted({each for pool in pools.values() for each in pool})
    asked_QD = unit(check_vectors(vectors.questions, names, encoder))
    pool_CD = unit(check_vectors(vectors.candidates, candidates, encoder))
    if asked_QD.shape[1] != pool_CD.shape[1]:
        raise UserError(f"{encoder}: vectors of questions and of candidates are not of one size")
    row_of = {name: row for row, name in enumerate(candidates)}
    found = {}
    for name, query_D in zip(names, asked_QD, strict=True):
        scores = pool_CD[[row_of[each] for each in pools[name]]] @ query_D
        found[name] = dict(zip(pools[name], scores.astype(float).tolist(), strict=True))
    return found


def canonical(value: Any) -> bytes:
    """JSON in the one form that is signed: sorted keys, no spaces, ASCII."""
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def write_zip(members: Mapping[str, bytes]) -> bytes:
    """The same members give the same bytes: sorted, stored, without times."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, _TIME), members[name])
    return stream.getvalue()


def read_zip(data: bytes, caps: Caps, what: str) -> dict[str, bytes]:
    """The members. Raises UserError for what `write_zip` would not have written: nothing else is unpacked.

    Members are stored, so that no entry is larger than the file; names are of a fixed pattern and name no path here.
    """
    if len(data) > caps.total:
        raise UserError(f"{what} has more than {caps.total} bytes; it is not one of ours")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > caps.members:
                raise UserError(f"{what} holds more than {caps.members} members; it is not one of ours")
            for info in infos:
                name = info.orig_filename
                if re.fullmatch(caps.allowed, name) is None:
                    raise UserError(f"{what} holds {name[:80]!r}, which has no place in it; get it again")
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size > caps.member:
                    raise UserError(f"{what}: {name} is compressed, encrypted or too large; get it again")
            if len({info.filename for info in infos}) != len(infos) or sum(i.file_size for i in infos) > len(data):
                raise UserError(f"{what} holds a member twice, or members that overlap; get it again")
            return {info.filename: archive.read(info) for info in infos}
    except UserError:
        raise
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, OverflowError, struct.error) as error:
        raise UserError(f"{what} is not a whole zip file ({str(error)[:120]}); get it again") from error


def read_challenge(data: bytes, what: str) -> tuple[Challenge, dict[str, ImageRef]]:
    """The challenge and its pictures by id, not decoded yet. Raises UserError, naming `what`, for what is not one."""
    members = read_zip(data, CHALLENGE_CAPS, what)
    found = decode(members, CHALLENGE, Challenge, what)
    pictures = {
        name.removeprefix("images/").removesuffix(".png"): _picture(body, f"{what}: {name}")
        for name, body in members.items()
        if name != CHALLENGE
    }
    parts = [part for each in found.candidates.values() for part in each]
    parts += [Part(each.image, each.text) for each in found.questions]
    named = {part.image for part in parts if part.image}
    pools = [each.candidates for each in found.questions]
    sound = (
        all(part.image or part.text for part in parts)
        and all(found.candidates.values())
        and named == pictures.keys()
        and len({each.id for each in found.questions}) == len(pools) > 0
        and all(pool and len(set(pool)) == len(pool) for pool in pools)
        and {key for pool in pools for key in pool} == found.candidates.keys()
    )
    if not sound:
        raise UserError(f"{what}: questions, candidates and pictures do not fit together; get it again")
    return found, pictures


def _picture(data: bytes, name: str) -> ImageRef:
    if not data.startswith(_PNG):
        raise UserError(f"{name} is no PNG; get the challenge again")
    ref = ImageRef(hashlib.sha256(data).hexdigest(), (), EncodedBytes(data))
    try:
        size = images.measure(ref)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if max(size) > MAX_SIDE:
        raise UserError(f"{name} is {size[0]}x{size[1]} pixels, more than {MAX_SIDE} a side; it is not one of ours")
    return ref


def write_response(response: Response, vectors: Vectors | None = None) -> bytes:
    from safetensors.numpy import save

    members = {RESPONSE: canonical(response)}
    if vectors is not None:
        tensors = {"questions": vectors.questions, "candidates": vectors.candidates}
        members[VECTORS] = save({name: np.ascontiguousarray(rows, np.float32) for name, rows in tensors.items()})
    return write_zip(members)


def read_response(data: bytes, what: str = "the response") -> tuple[Response, Vectors | None]:
    """Raises UserError for what `write_response` would not have written. Nothing of it is believed beyond its form."""
    members = read_zip(data, RESPONSE_CAPS, what)
    response = decode(members, RESPONSE, Response, what)
    if (response.sent == "embeddings") != (VECTORS in members) or (response.sent == "scores") != bool(response.scores):
        raise UserError(f"{what} does not hold the {response.sent} that it says were sent; make it again")
    return response, _vectors(members[VECTORS], what) if VECTORS in members else None


def _vectors(data: bytes, what: str) -> Vectors:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{what}: {VECTORS} cannot be read ({str(error)[:120]}); make it again") from error
    found = [tensors.get(name) for name in ("questions", "candidates")]
    if len(tensors) != 2 or any(rows is None or rows.dtype != np.float32 or rows.ndim != 2 for rows in found):
        raise UserError(f"{what}: {VECTORS} is to hold 'questions' and 'candidates', float32 [N, D]; make it again")
    return Vectors(tensors["questions"], tensors["candidates"])


def decode(members: Mapping[str, bytes], name: str, kind: type[S], what: str) -> S:
    """The JSON of a member. Raises UserError, saying what is wrong with it."""
    if name not in members:
        raise UserError(f"{what} holds no {name}; get it again")
    try:
        return msgspec.json.decode(members[name], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{what}: {name} is not as we write it ({error}); get it again") from error
