"""Errors of the API: one JSON shape for all of them, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fuselip.core.errors import UserError

LOG = logging.getLogger("leaderboard.server")
_LONGEST = 300
"""Characters of a stranger's text that a message repeats at most."""


class ApiError(HTTPException):
    """What a client did wrong: `code` is short and fixed, `message` says what, `mend` how to mend it, `where`."""

    def __init__(
        self, status: int, code: str, message: str, mend: str, where: str = "request", headers: Mapping[str, str] = {}
    ) -> None:
        super().__init__(status, message, dict(headers))
        self.code, self.mend, self.where = code, mend, where

    def response(self) -> JSONResponse:
        return _response(self.status_code, self.code, str(self.detail), self.mend, self.where, self.headers)


def missing(what: str, mend: str, where: str) -> ApiError:
    return ApiError(404, "not_found", f"there is no such {what}", mend, where)


def install(app: FastAPI) -> None:
    """Every error of `app` leaves it in the one shape."""

    @app.exception_handler(HTTPException)
    async def known(_: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error, ApiError):
            return error.response()
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        mend = "see /api/docs for the addresses and methods there are"
        return _response(error.status_code, code, str(error.detail), mend, "request", error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:_LONGEST]
        return _response(422, "invalid", str(first["msg"])[:_LONGEST], "see /api/docs for what it may be", where)

    @app.exception_handler(UserError)
    async def refused(_: Request, error: UserError) -> JSONResponse:
        LOG.warning("refused: %s", error)  # its text may name files of the server: it goes to the log only
        return _response(400, "refused", "the request cannot be met as it is", "see /api/docs", "request")

    @app.exception_handler(Exception)
    async def defect(_: Request, error: Exception) -> JSONResponse:
        return _response(
            500, "defect", "the server failed", "try again later; tell its maintainer if it stays", "server"
        )


def _response(
    status: int, code: str, message: str, mend: str, where: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    error = {"code": code, "message": message, "mend": mend, "where": where}
    return JSONResponse({"error": error}, status, dict(headers or {}))
