"""Sending a bundle and asking after it: to a server, to a store on this machine, or to a results folder."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import atomic, read_json, sha256_file, write_json
from fuselip.core.http import RETRIED, Backoff, HttpFailure, retry_after, split
from leaderboard import bundle
from leaderboard.types import Fault

DATABASE = "leaderboard.db"
"""What makes a folder a store (of the embedded default)."""
WAITING = ("received", "verifying")
"""States before there is a verdict."""
SUBMISSIONS = "/api/v1/submissions"
TIMEOUT = 60.0
_MOST = 1 << 20
_TOKEN = re.compile(r"[\x21-\x7e]{8,512}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True)
class Submission:
    """What a leaderboard says of a submission. `state`: received, verifying, accepted, refused, withdrawn, or "filed"
    in a results folder. `badge` is "" where there is none yet.
    """

    id: str
    state: str
    url: str = ""
    badge: str = ""
    faults: Sequence[Fault] = ()
    flags: Sequence[str] = ()


@dataclass(frozen=True)
class Token:
    """A secret that is sent and never shown; `warning` says where others can read its file, "" where they cannot."""

    value: str = field(repr=False)
    warning: str = ""


def read_token(path: Path) -> Token:
    """The token in a file. Raises UserError, which never quotes the file, where it holds none."""
    try:
        with open(path, "rb") as stream:
            mode, held = stat.S_IMODE(path.stat().st_mode), stream.read(4096)
    except OSError as error:
        raise UserError(f"the token file {path} cannot be read ({error.strerror}); check --token-file") from None
    text = held.decode("ascii", "replace").strip()
    if _TOKEN.fullmatch(text) is None:
        raise UserError(
            f"{path} does not hold a token alone; write the token that you were given into it, nothing else"
        )
    others = f"others can read {path}; `chmod 600 {path}` keeps the token yours" if mode & 0o077 else ""
    return Token(text, others)


def submit(path: Path, to: str, token: Token | None = None, backoff: Backoff | None = None) -> Submission:
    """Send a bundle. Sending it again is safe: it is known by its sha256, and is the same submission.

    `to` is a server's address, a store's folder, or any other folder, in which it becomes NAME/SHA.zip for a pull
    request. Raises BundleError for what a leaderboard would refuse at the door, UsageError for a bad address, UserError
    where the server refuses it or cannot be reached.
    """
    held = bundle.read(path)
    if is_url(to):
        if token is None:
            raise UsageError("a server takes submissions with a token only; give its file with --token-file")
        sent = _Server(to, token, backoff).submit(path, held.sha256)
        write_json(receipt(path), {**_receipts(path), _address(to): {"id": sent.id, "sha256": held.sha256}})
        return sent
    folder = _folder(to)
    if (folder / DATABASE).exists():
        with _store(folder) as store:
            return _from_store(store.receive(path, None))
    target = _filed(folder, held.metadata.name, held.sha256)
    if not target.exists():
        with open(path, "rb") as source, atomic(target) as stream:
            data = source.read()
            if hashlib.sha256(data).hexdigest() != held.sha256:
                raise UserError(f"{path} was changed while it was read; submit it again")
            stream.write(data)
    return Submission(held.sha256[:12], "filed", str(target))


def status(what: str, at: str, token: Token | None = None, backoff: Backoff | None = None) -> Submission:
    """What a leaderboard says of a submission, by its id or by the bundle's file. UserError where it has none such."""
    path = Path(what)
    digest = sha256_file(path) if path.is_file() else ""
    known = digest or what
    if _ID.fullmatch(known) is None:
        raise UsageError(f"{what!r} is neither a bundle's file nor the id of a submission")
    if is_url(at):
        return _Server(at, token, backoff).status(_id_at(path, at, digest) if digest else known)
    folder = _folder(at)
    if (folder / DATABASE).exists():
        with _store(folder) as store:
            held = store.find(known)
        if held is None:
            raise UserError(f"{at} holds no submission {known[:80]}; `fuselip-leaderboard submit` puts it there")
        return _from_store(held)
    found = next(iter(sorted(folder.glob(f"*/{known[:12]}.zip"))), None)
    if found is None:
        raise UserError(f"{folder} holds no submission {known[:12]}; `fuselip-leaderboard submit` puts it there")
    return Submission(known[:12], "filed", str(found))


def receipt(path: Path) -> Path:
    """Where `submit` notes under which id each server keeps a bundle, so that `status` finds it by the file."""
    return path.with_name(f"{path.name}.receipt.json")


def is_url(text: str) -> bool:
    return "://" in text


def _receipts(path: Path) -> dict[str, Any]:
    found = read_json(receipt(path)) if receipt(path).exists() else {}
    return found if isinstance(found, dict) else {}


def _address(url: str) -> str:
    return url.rstrip("/").lower()


def _id_at(path: Path, url: str, digest: str) -> str:
    """The id under which a server keeps this very file. UserError where it was not sent there."""
    noted = _receipts(path).get(_address(url))
    if not isinstance(noted, dict) or noted.get("sha256") != digest or not isinstance(noted.get("id"), str):
        raise UserError(f"{path} was not submitted to {url} from here; give the id that `submit` printed")
    return str(noted["id"])


def _folder(text: str) -> Path:
    folder = Path(text)
    if not folder.is_dir():
        raise UsageError(
            f"{text} is no folder that is there; write https://HOST for a server, or make the folder first"
        )
    return folder


def _filed(folder: Path, name: str, digest: str) -> Path:
    """NAME is cut down to plain letters: it comes from whoever made the bundle, and must stay within the folder."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "encoder"
    return folder / plain / f"{digest[:12]}.zip"


def _store(folder: Path) -> Any:
    from leaderboard.store import Store  # says which extra it needs

    return Store.open(str(folder))


def _from_store(found: Any) -> Submission:
    faults = tuple(Fault(**each) for each in found.faults)
    return Submission(found.id, found.state, "", found.badge, faults, tuple(found.flags))


class _Server:
    """One server's API. A request that ends without a reply is sent again, after a while."""

    def __init__(self, base: str, token: Token | None, backoff: Backoff | None) -> None:
        self._scheme, self._host, self._port, self._path = split(base)
        if self._scheme != "https" and not _is_loopback(self._host):
            raise UsageError(f"{base} is not encrypted, and a token sent to it could be read; write https://")
        self._root = f"{self._scheme}://{urlsplit(base).netloc}"
        self._token, self._backoff = token, backoff or Backoff()

    def submit(self, path: Path, digest: str) -> Submission:
        size = path.stat().st_size
        headers = {"Content-Type": "application/zip", "Content-Length": str(size)}
        headers |= {"Idempotency-Key": digest, "X-Content-SHA256": digest}

        def send() -> Any:
            with open(path, "rb") as stream:
                return self._request("POST", SUBMISSIONS, headers, stream)

        return self._told(self._call(send))

    def status(self, known: str) -> Submission:
        return self._told(self._call(lambda: self._request("GET", f"{SUBMISSIONS}/{quote(known, safe='')}", {})))

    def _call(self, function: Any) -> Any:
        try:
            return self._backoff.call(function)
        except HttpFailure as failure:
            detail = _shown(failure.detail, 2000)
            raise UserError(
                f"{self._host} did not take it ({failure.code}): {detail}{_MENDS.get(failure.code, '')}"
            ) from None

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: IO[bytes] | None = None) -> Any:
        """The decoded JSON of a reply of status 200 to 202. Raises HttpFailure for all else; follows no redirect."""
        kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT, blocksize=1 << 16)
        sent = {"Accept": "application/json", **headers}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token.value}"
        try:
            try:
                connection.request(method, self._path + path, body, sent)
            except (BrokenPipeError, ConnectionResetError):
                if connection.sock is None:  # else it may have said why before it hung up
                    raise
            response = connection.getresponse()
            data = response.read(_MOST + 1)
        except TimeoutError as error:
            raise HttpFailure("timeout", f"no reply within {TIMEOUT:g} s", retried=True) from error
        except (OSError, http.client.HTTPException) as error:
            raise HttpFailure("connection", str(error) or type(error).__name__, retried=True) from error
        finally:
            connection.close()
        if len(data) > _MOST or response.length:
            raise HttpFailure("truncated", "the reply is cut short or too long", retried=bool(response.length))
        if response.status not in (200, 201, 202):
            wait = retry_after(response.headers.get("Retry-After", ""))
            raise HttpFailure(f"http_{response.status}", _reason(data), retried=response.status in RETRIED, wait=wait)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise HttpFailure("not_json", "the reply is not JSON; is this a leaderboard?", retried=False) from error

    def _told(self, reply: Any) -> Submission:
        if not isinstance(reply, dict) or not all(isinstance(reply.get(key), str) for key in ("id", "state")):
            raise UserError(f"{self._host} did not answer as a leaderboard does; check the address")
        url = _shown(reply.get("url") or "", 400)
        return Submission(
            _shown(reply["id"], 80),
            _shown(reply["state"], 40),
            self._root + url if url.startswith("/") else url,
            _shown(reply.get("badge") or "", 40),
            tuple(_faults(reply.get("faults"))),
            tuple(_shown(flag, 400) for flag in _list(reply.get("flags"))),
        )


_MENDS = {
    "http_401": "; the token is not known, has expired or was revoked: ask for another",
    "http_403": "; the token may not do this: ask for one that may",
    "http_404": "; check the id, and the address",
    "http_429": "; wait, and give the same command again",
    "connection": "; give the same command again, it is safe",
    "timeout": "; give the same command again, it is safe",
}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(data: bytes) -> str:
    """What an error's body says, where it says it as our server does; else its beginning."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        return data[:300].decode("utf-8", "replace")
    if not isinstance(reply, dict):
        return ""
    error = reply.get("error")
    if not isinstance(error, dict):
        return ""
    return "; ".join(_shown(error[key], 1000) for key in ("message", "mend") if error.get(key))


def _faults(value: Any) -> list[Fault]:
    rows = [row for row in _list(value) if isinstance(row, dict)]
    return [Fault(*(_shown(row.get(key) or "", 400) for key in ("where", "what", "mend"))) for row in rows[:200]]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(text: Any, longest: int) -> str:
    """A server's text, fit for a terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in str(text)[:longest])
