"""Uploads: a request's body to a file of the store's own disk, counted and hashed as it comes."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from leaderboard.server.errors import ApiError

ZIP = b"PK\x03\x04"
STALE = 3600.0
"""Seconds after which a part file is nobody's any more: no upload may take so long."""


@dataclass(frozen=True)
class Upload:
    """A whole body at `path`, which is gone once the block of `received` ends."""

    path: Path
    size: int
    sha256: str


@asynccontextmanager
async def received(request: Request, folder: Path) -> AsyncIterator[Upload]:
    """The body as a file in `folder`. Sizes and times are held by `limits.Bounded`, under which this runs.

    Raises ApiError: 415 for what is no zip, 400 for a body that broke off or is empty.
    """
    handle, name = tempfile.mkstemp(suffix=".part", dir=folder)
    path, digest, size = Path(name), hashlib.sha256(), 0
    try:
        with os.fdopen(handle, "wb") as stream:
            head = b""
            async for block in request.stream():
                if len(head) < len(ZIP):
                    head += block[: len(ZIP)]
                    if not ZIP.startswith(head[: len(ZIP)]):
                        raise _no_zip()
                digest.update(block)
                stream.write(block)
                size += len(block)
        if not size:
            raise ApiError(400, "empty", "there is no body", "send the bundle itself as the body", "body")
        if len(head) < len(ZIP):
            raise _no_zip()
        yield Upload(path, size, digest.hexdigest())
    except ClientDisconnect:
        raise ApiError(400, "broken_off", "the body broke off", "send it again", "body") from None
    finally:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> int:
    """Remove part files that a killed server left in `folder`; how many there were."""
    folder.mkdir(parents=True, exist_ok=True)
    old = [path for path in folder.glob("*.part") if time.time() - path.stat().st_mtime > STALE]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _no_zip() -> ApiError:
    return ApiError(
        415, "no_zip", "the body is no zip archive", "send what `fuselip-leaderboard pack` wrote, as it is", "body"
    )
