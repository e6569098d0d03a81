"""Shapes: what the API's answers look like, for its documentation and for what reads them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ErrorBody(BaseModel):
    """`code` is fixed, for programs; `message` says what is wrong, `mend` what to do, `where` the place."""

    code: str
    message: str
    mend: str
    where: str


class Error(BaseModel):
    """Every answer of status 400 and above."""

    error: ErrorBody


class FaultShape(BaseModel):
    """One thing that is wrong with a submission."""

    where: str
    what: str
    mend: str


class SubmissionShape(BaseModel):
    """A submission as anyone may see it. `state`: received, verifying, accepted, refused or withdrawn."""

    id: str
    sha256: str
    state: str
    badge: str | None
    faults: list[FaultShape]
    flags: list[str]
    created: str
    verified: str | None
    url: str


class Health(BaseModel):
    """`waiting` submissions are not verified yet; `published` names the publication that is shown."""

    status: str
    waiting: int
    published: str


STATUSES = (400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 422, 429, 500, 503)
ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in STATUSES}
