"""Submitting: the bundle is streamed to disk and kept; its verification is another process's work."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from leaderboard.server.errors import ApiError, missing
from leaderboard.server.limits import client
from leaderboard.server.security import authorise
from leaderboard.server.shapes import ERRORS, SubmissionShape
from leaderboard.server.uploads import received

router = APIRouter(tags=["submissions"], responses=ERRORS)
_BODY = {
    "required": True,
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post(
    "/submissions",
    status_code=202,
    response_model=SubmissionShape,
    openapi_extra={"requestBody": _BODY, "security": [{"token": []}]},
)
async def submit(request: Request, response: Response) -> dict[str, Any]:
    """Hand in a bundle, as the body itself. Needs a token of scope "submit".

    202 with its address; the same bundle again from the same token gives the same submission, from another 409.
    """
    state = request.app.state
    state.writes.require(client(request), "submissions from this address")
    token = await run_in_threadpool(authorise, request, "submit")
    state.token_writes.require(str(token.id), "submissions with this token")
    if state.uploads.locked():
        raise ApiError(503, "busy", "too many uploads at once", "wait 5 s", "server", {"Retry-After": "5"})
    async with state.uploads, received(request, state.incoming) as upload:
        stated = request.headers.get("idempotency-key", upload.sha256).lower()
        if stated != upload.sha256:
            raise ApiError(
                400,
                "damaged",
                "the body's sha256 is not the Idempotency-Key",
                "send it again",
                "header Idempotency-Key",
            )
        found = await asyncio.shield(run_in_threadpool(state.gate.receive, upload, token))
    state.wake()
    response.headers["Location"] = f"/api/v1/submissions/{found.id}"
    return shown(found)


@router.get("/submissions/{id}", response_model=SubmissionShape)
def submission(request: Request, id: str) -> dict[str, Any]:
    """What became of a submission, by its id or its bundle's sha256: state, badge, faults."""
    found = request.app.state.gate.store.find(id)
    if found is None:
        raise missing("submission", "look at the address that came with its receipt", "path")
    return shown(found)


def shown(found: Any) -> dict[str, Any]:
    return {
        "id": found.id,
        "sha256": found.sha256,
        "state": found.state,
        "badge": found.badge or None,
        "faults": list(found.faults),
        "flags": list(found.flags),
        "created": found.created,
        "verified": found.verified,
        "url": f"/api/v1/submissions/{found.id}",
    }
