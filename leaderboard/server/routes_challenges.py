"""Challenges: handed out to a token, answered once, listed for everybody, their seeds told after expiry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from fuselip.core.errors import UserError
from leaderboard.challenge import Record
from leaderboard.server import challenge_job
from leaderboard.server.errors import ApiError, missing
from leaderboard.server.limits import client
from leaderboard.server.security import authorise
from leaderboard.server.shapes import ERRORS

router = APIRouter(tags=["challenges"], responses=ERRORS)
_MAKING = threading.BoundedSemaphore(1)
"""Rendering and scoring take whole seconds of a processor: one at a time."""

_ZIP = {"schema": {"type": "string", "format": "binary"}}
_SECURED: dict[str, Any] = {"security": [{"token": []}]}


class Wish(BaseModel):
    """`tasks`: names or patterns, of those that can be asked afresh (none: all); `questions`: the most of each task."""

    model_config = ConfigDict(extra="forbid")

    tasks: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)] = []
    questions: Annotated[int, Field(ge=1, le=10_000)] = 50
    hours: Annotated[float, Field(gt=0, le=24 * 14)] = 24


async def whole(request: Request) -> bytes:
    """The body, in memory: its size is bounded by `limits`."""
    return await request.body()


@router.post(
    "/challenges",
    status_code=201,
    response_class=Response,
    responses={201: {"content": {"application/zip": _ZIP}, "description": "The challenge, for --challenge."}},
    openapi_extra=_SECURED,
)
def hand_out(request: Request, wish: Wish) -> Response:
    """A new challenge, as a zip for `fuselip-bench run --challenge`. Needs a token of scope "submit"."""
    token = _token(request)
    wanted = msgspec.json.encode(wish.model_dump())
    number, _, data = _job(request, "make", wanted, ApiError(422, "invalid", "", "see the message", "body")).partition(
        b"\n"
    )
    id_ = number.decode()
    request.app.state.gate.store.journal(f"token {token.id}", "challenge handed out", id_)
    headers = {
        "Location": f"/api/v1/challenges/{id_}",
        "Challenge-Id": id_,
        "Content-Disposition": f'attachment; filename="challenge-{id_}.zip"',
    }
    return Response(data, 201, headers, "application/zip")


@router.get("/challenges")
def challenges(request: Request) -> Response:
    """All challenges and their outcomes, oldest first. `seed` is told once nobody can answer any more."""
    now = datetime.now(UTC)
    return _json({"challenges": [_shown(each, now) for each in request.app.state.challenges.challenges()]})


@router.get("/challenges/{id}")
def challenge(request: Request, id: str) -> Response:
    """One challenge and its outcome."""
    return _json(_shown(_found(request, id), datetime.now(UTC)))


@router.post(
    "/challenges/{id}/response",
    openapi_extra={"requestBody": {"required": True, "content": {"application/zip": _ZIP}}, **_SECURED},
)
def respond(request: Request, id: str, body: Annotated[bytes, Depends(whole)]) -> Response:
    """Hand in what `fuselip-bench run --challenge` wrote. 409 for a challenge that was answered or has expired.

    The response names an accepted submission, and comes with the token that the submission came with.
    """
    from benchmarks.challenge_file import read_response

    state, now = request.app.state, datetime.now(UTC)
    token = _token(request)
    record = _found(request, id)
    with _refusals("invalid_response", 400):
        response, _ = read_response(body)
    if response.challenge != record.id:
        raise ApiError(400, "invalid_response", "the response answers another challenge", "send it there", "body")
    if (was := record.state(now)) != "open":
        raise ApiError(409, was, f"the challenge is {was}, and counts once, in time", "ask for a new one", "path")
    held = state.gate.store.find(response.submission)
    if held is None or held.state != "accepted":
        raise missing("accepted submission", "name one of yours that /api/v1/board shows", "body.submission")
    if held.token_id != token.id:
        raise ApiError(403, "not_yours", "the submission came with another token", "use that one", "body.submission")
    try:
        state.gate.store.challenge_tries(held.id)
    except UserError as error:
        raise ApiError(
            409, "no_try_left", str(error), "wait until then; the challenge is not used up", "body"
        ) from None
    found = _job(request, "score", body, ApiError(400, "invalid_response", "", "see the message", "body"))
    state.wake()
    return Response(found, media_type="application/json")


def _job(request: Request, kind: str, data: bytes, wrong: ApiError) -> bytes:
    """What the job gives. Raises `wrong` with its reason, or 503 where it takes too long or others wait."""
    state = request.app.state
    late = ApiError(503, "busy", "it takes too long now", "ask for less, or wait 60 s", "server", {"Retry-After": "60"})
    if not _MAKING.acquire(timeout=30):
        raise late
    try:
        return challenge_job.ask(state.where, kind, data, state.seconds)
    except challenge_job.JobError as error:
        if error.code == "wrong":
            wrong.detail = str(error)
            raise wrong from None
        if error.code == "late":
            raise late from None
        raise
    finally:
        _MAKING.release()


def _token(request: Request) -> Any:
    state = request.app.state
    state.writes.require(client(request), "requests from this address")
    token = authorise(request, "submit")
    state.token_writes.require(str(token.id), "requests with this token")
    return token


def _found(request: Request, id: str) -> Record:
    found: Record | None = request.app.state.challenges.challenge(id) if id.isascii() and len(id) <= 64 else None
    if found is None:
        raise missing("challenge", "GET /api/v1/challenges lists them", "path")
    return found


def _shown(record: Record, now: datetime) -> dict[str, Any]:
    over = record.expired(now)
    return {
        "id": record.id,
        "state": record.state(now),
        "tasks": record.tasks,
        "questions": record.questions,
        "created": record.created,
        "expires": record.expires,
        "used_by": record.used_by,
        "outcome": record.outcome,
        "seed": record.seed if over else None,
    }


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


@contextmanager
def _refusals(code: str, status: int) -> Iterator[None]:
    """What is wrong with a wish or a response; such messages name nothing of this machine's."""
    try:
        yield
    except UserError as error:
        raise ApiError(status, code, str(error)[:1000], "see the message", "body") from None
