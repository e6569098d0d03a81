"""Pages: the published files, from a folder that another process rebuilds and puts in place whole."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fuselip.core.weighted_lru import WeightedLRU
from leaderboard.server.errors import missing

CURRENT = "current.json"
MANIFEST = "files.json"
TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".html": "text/html"}
_HELD = 128 << 20


@dataclass(frozen=True)
class File:
    """A published file: its sha256, and whether a gzip of it stands beside it (`name`.gz)."""

    sha256: str
    size: int
    gzip: bool


class Pages:
    """The newest publication in `cache`: looked up by name in its list, so that no path leaves it."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._stamp: tuple[int, int] | None = None
        self._folder: Path | None = None
        self._files: Mapping[str, File] = {}
        self._bodies: WeightedLRU[tuple[str, bool], bytes] = WeightedLRU(_HELD)
        self.version = ""

    def refresh(self) -> None:
        """Take up a newer publication, where there is one. What is being sent is not disturbed."""
        try:
            found = os.stat(self._cache / CURRENT)
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp == self._stamp:
                return
            current = json.loads((self._cache / CURRENT).read_text("utf-8"))
            folder = self._cache / current["folder"]
            listed = json.loads((folder / MANIFEST).read_text("utf-8"))
        except FileNotFoundError:
            return
        self._files = {name: File(**file) for name, file in listed.items()}
        self._folder, self._stamp, self.version = folder, stamp, current["version"]

    def respond(self, request: Request, name: str, *, type_: str = "", attachment: str = "") -> Response:
        """The file `name`, or 304 where the client has it. Raises ApiError (404)."""
        self.refresh()
        file = self._files.get(name)
        if file is None or self._folder is None:
            raise missing("page", "start at /", "path")
        zipped = file.gzip and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{file.sha256[:32]}{"-gz" if zipped else ""}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if etag in [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        if attachment:
            headers["Content-Disposition"] = f'attachment; filename="{attachment}"'
        return Response(self._body(name, file, zipped), headers=headers, media_type=type_ or media_type(name))

    def text(self, name: str) -> bytes | None:
        """The bytes of a published file; None where nothing is published yet."""
        self.refresh()
        file = self._files.get(name)
        return None if file is None else self._body(name, file, zipped=False)

    def _body(self, name: str, file: File, zipped: bool) -> bytes:
        key = (file.sha256, zipped)
        body = self._bodies.get(key)
        if body is None:
            assert self._folder is not None
            body = (self._folder / (f"{name}.gz" if zipped else name)).read_bytes()
            self._bodies.put(key, body, len(body))
        return body


def media_type(name: str) -> str:
    kind = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """{name: File's fields} of all files in `folder`, each with a gzip beside it where that is smaller."""
    import gzip

    from fuselip.core.files import sha256_file

    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        body = path.read_bytes()
        packed = gzip.compress(body, 6, mtime=0) if len(body) > 500 else body
        smaller = len(packed) < 0.9 * len(body)
        if smaller:
            path.with_name(f"{path.name}.gz").write_bytes(packed)
        name = path.relative_to(folder).as_posix()
        found[name] = {"sha256": sha256_file(path), "size": len(body), "gzip": smaller}
    return found


def prune(cache: Path, keep: set[str]) -> None:
    """Remove publications but those in `keep`."""
    for path in cache.iterdir():
        if path.is_dir() and path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)
