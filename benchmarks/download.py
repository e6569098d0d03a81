"""One file from a web address to the disk: goes on where it was cut off, bounded in time and size.

What has come lies in `<file>.part`; `<file>.part.json` says which version of the file it is of, so that a file that
changed at its publisher's meanwhile is begun again, never glued together.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from datagen.fetch.guard import NOT_PUBLIC, Limits, opener, refusal
from fuselip.core.errors import UserError
from fuselip.core.files import explain, fsync_folder, read_json, write_json
from fuselip.core.http import RETRIED, Backoff, HttpFailure, retry_after

BLOCK = 1 << 20
TIMEOUT = 60.0
"""Seconds without a byte before a connection counts as dead."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes there are, and all there will be (None where the server does not say)."""


@dataclass(frozen=True)
class Downloaded:
    """What came: sha256 (hex) and number of its bytes, and the server's name for this version of it ("" = none)."""

    sha256: str
    bytes: int
    etag: str


def download(
    url: str,
    path: Path,
    limits: Limits,
    progress: Progress,
    *,
    expected: str = "",
    timeout: float = TIMEOUT,
    backoff: Backoff | None = None,
) -> Downloaded:
    """Bring `url` to `path`, whole or not at all; what a broken off attempt left behind is used.

    `limits`: at most `max_bytes`, and only from public addresses unless `allow_private`. `expected` is the sha256 that
    the file had before: another one is refused. Raises UserError.
    """
    if reason := refusal(url, limits):
        raise UserError(f"{url} is not fetched: {reason}")
    part = Path(f"{path}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        attempt = _Attempt(url, part, limits, progress, timeout)
        got = (backoff or Backoff()).call(attempt.run)
        if expected and got.sha256 != expected:
            attempt.forget()
            raise UserError(
                f"{url} is no longer the file that was fetched before: its sha256 is {got.sha256}, not {expected}. "
                f"Scores would not compare; to take the new one, remove the entry of {path.name} from fetched.json"
            )
        os.replace(part, path)
        attempt.about.unlink(missing_ok=True)
        fsync_folder(path.parent)
    except HttpFailure as failure:
        held, _ = attempt.held()
        mend = f"the same command again goes on from {held} bytes" if failure.retried else "check the address"
        raise UserError(f"{url} could not be fetched ({failure.code}: {failure.detail}); {mend}") from failure
    except OSError as error:
        raise explain(error, path) from error
    return got


class _Attempt:
    """One file's requests. `run` is called again after a passing failure, and then goes on from the bytes there are."""

    def __init__(self, url: str, part: Path, limits: Limits, progress: Progress, timeout: float) -> None:
        self.url, self.part, self.limits, self.progress, self.timeout = url, part, limits, progress, timeout
        self.about = Path(f"{part}.json")

    def run(self) -> Downloaded:
        held, version = self.held()
        request = urllib.request.Request(self.url, headers={"User-Agent": "fuselip", "Accept-Encoding": "identity"})
        if held:
            request.add_header("Range", f"bytes={held}-")
            request.add_header("If-Range", version)
        try:
            with opener(self.limits).open(request, timeout=self.timeout) as response:
                return self._receive(response, held)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what is held is not a beginning of what there is
                self.forget()
                raise HttpFailure("http_416", "begun again", retried=True) from error
            wait = retry_after(error.headers.get("Retry-After", ""))
            raise HttpFailure(f"http_{error.code}", error.reason, retried=error.code in RETRIED, wait=wait) from error
        except TimeoutError as error:
            raise HttpFailure("timeout", f"nothing came for {self.timeout:g} s", retried=True) from error
        except http.client.IncompleteRead as error:
            raise HttpFailure("truncated", "the connection broke off", retried=True) from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
            reason = str(getattr(error, "reason", error))
            raise HttpFailure("connection", reason, retried=NOT_PUBLIC not in reason) from error

    def held(self) -> tuple[int, str]:
        """Bytes of an earlier attempt at this address, and which version they are of; (0, "") where they are no use."""
        try:
            about: Any = read_json(self.about)
            if about["url"] == self.url and about["version"]:
                return self.part.stat().st_size, str(about["version"])
        except (UserError, OSError, KeyError, TypeError):
            pass
        self.forget()
        return 0, ""

    def forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)

    def _receive(self, response: Any, held: int) -> Downloaded:
        ranged = response.status == 206
        if ranged and not str(response.headers.get("Content-Range", "")).startswith(f"bytes {held}-"):
            self.forget()
            raise HttpFailure("range", "the server sent another part than was asked for", retried=True)
        start = held if ranged else 0
        total = None if response.length is None else start + response.length
        self._check_size(total or 0)
        self._check_space((total or 0) - start)
        etag = response.headers.get("ETag") or ""
        # A weak tag ("W/...") promises no equal bytes, so that nothing can be resumed by it.
        version = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified") or ""
        if not ranged:
            write_json(self.about, {"url": self.url, "version": version})
        digest = hashlib.sha256()
        with open(self.part, "r+b" if ranged else "wb", buffering=0) as stream:  # a kill loses nothing
            size = _hash_start(stream, start, digest)
            self.progress(size, total)
            while block := response.read1(BLOCK):
                size += len(block)
                self._check_size(size)
                stream.write(block)
                digest.update(block)
                self.progress(size, total)
            os.fsync(stream.fileno())
        if total is not None and size < total:  # read1 does not tell by itself that less came than was announced
            raise HttpFailure("truncated", f"the connection broke off after {size} of {total} bytes", retried=True)
        return Downloaded(digest.hexdigest(), size, etag)

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise UserError(f"{self.url} has over {self.limits.max_bytes} bytes, more than --max-size allows; raise it")

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if needed > free:
            raise UserError(f"{self.part} needs {needed} bytes more, and the disk has {free} left; free some")


def _hash_start(stream: IO[bytes], size: int, digest: Any) -> int:
    """Hash the first `size` bytes and leave the file there, cut off; returns `size`."""
    left = size
    while left and (block := stream.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
    stream.seek(size)
    stream.truncate()
    return size
