"""The attack table, through the real HTTP API: each gets its status and a clear error, and the store stays as it was.

What only shows when a bundle is read is refused by the verification instead, with faults that say why.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import socket
import stat
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("jinja2")
pytest.importorskip("httpx")

from lb_bundles import make_bundle
from lb_server import API, Site, bearer, is_error

from benchmarks import predictions
from leaderboard.server.limits import Limits, Rate, protocol

LOOSE = Rate(1e6, 1e6)
LIMITS = Limits(
    upload_bytes=1 << 20, token_writes=LOOSE, writes=LOOSE, failures=LOOSE, idle_seconds=0.5, header_seconds=0.5
)
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("attacked")
    return Site(folder / "store", folder / "answers", LIMITS)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return opened(make_bundle(tmp_path_factory.mktemp("honest"), "Honest").read_bytes())


def opened(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sealed(files: Files, extra: Callable[[zipfile.ZipFile], None] = lambda _: None) -> bytes:
    """A bundle whose hashes fit its files: whoever forges one can do that much."""
    manifest = json.loads(files["bundle.json"])
    manifest["files"] = {name: hashlib.sha256(files[name]).hexdigest() for name in files if name != "bundle.json"}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in sorted({**files, "bundle.json": json.dumps(manifest).encode()}.items()):
            archive.writestr(zipfile.ZipInfo(name), data)
        extra(archive)
    return stream.getvalue()


def forged_metrics(files: Files, _: Path) -> bytes:
    name = next(name for name in files if name.endswith("result.json"))
    told = json.loads(files[name])
    told["value"] = told["high"] = 1.0
    return sealed({**files, name: json.dumps(told).encode()})


def edited_predictions(files: Files, folder: Path) -> bytes:
    """The first question that was answered wrongly gets its right answer on top."""
    name = next(name for name in files if name.endswith("predictions.parquet"))
    path = folder / "edited.parquet"
    path.write_bytes(files[name])
    held = predictions.read(path)
    rows = list(held.variants["model"])
    at = next(at for at, row in enumerate(rows) if row.targets[0].above)
    right = rows[at].targets[0].key
    rest = [pair for pair in rows[at].top if pair[0] != right]
    scores = [score for _, score in rows[at].top]
    top = tuple(zip([right, *(key for key, _ in rest)], scores, strict=True))
    rows[at] = replace(rows[at], top=top)
    predictions.write(path, {**held.variants, "model": rows}, held.header)
    return sealed({**files, name: path.read_bytes()})


def path_traversal(files: Files, _: Path) -> bytes:
    return sealed(files, lambda archive: archive.writestr("../../../escaped.txt", b"out"))


def absolute_path(files: Files, folder: Path) -> bytes:
    return sealed(files, lambda archive: archive.writestr(f"{folder}/escaped.txt", b"out"))


def zip_bomb(files: Files, _: Path) -> bytes:
    def add(archive: zipfile.ZipFile) -> None:
        archive.writestr("tasks/bomb/result.json", bytes(200 << 20), zipfile.ZIP_DEFLATED)

    return sealed(files, add)


def pickled(files: Files, folder: Path) -> bytes:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (folder / "executed",)

    return sealed(files, lambda archive: archive.writestr("tasks/x/weights.pkl", pickle.dumps(Bomb())))


def pickled_predictions(files: Files, folder: Path) -> bytes:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (folder / "executed",)

    name = next(name for name in files if name.endswith("predictions.parquet"))
    return sealed({**files, name: pickle.dumps(Bomb())})


def symlink(files: Files, _: Path) -> bytes:
    def add(archive: zipfile.ZipFile) -> None:
        link = zipfile.ZipInfo("tasks/link/result.json")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    return sealed(files, add)


def control_characters(files: Files, _: Path) -> bytes:
    return renamed(files, name="A\x1b[2JB")


def script_link(files: Files, _: Path) -> bytes:
    return renamed(files, link="javascript:alert(1)")


def renamed(files: Files, **changes: Any) -> bytes:
    manifest = json.loads(files["bundle.json"])
    manifest["metadata"].update(changes)
    return sealed({**files, "bundle.json": json.dumps(manifest).encode()})


REFUSED = {
    forged_metrics: "value",
    edited_predictions: "query",
    path_traversal: "escaped",
    absolute_path: "escaped",
    zip_bomb: "tasks/bomb",
    pickled: "weights.pkl",
    pickled_predictions: "predictions",
    symlink: "link",
    control_characters: "name",
    script_link: "link",
}


@pytest.mark.parametrize("attack", REFUSED, ids=lambda attack: attack.__name__)
def test_a_bad_bundle_is_refused_with_the_reason(
    site: Site, honest: Files, tmp_path: Path, attack: Callable[[Files, Path], bytes]
) -> None:
    body = attack(honest, tmp_path)
    told = site.submit(body, site.token()).json()
    site.verify()
    found = site.client.get(told["url"]).json()
    assert (found["state"], found["badge"]) == ("refused", None)
    assert REFUSED[attack] in json.dumps(found["faults"])
    assert site.client.get(f"{API}/submissions/{found['sha256']}").json() == found
    assert not list(tmp_path.rglob("executed"))
    assert not list(tmp_path.parent.rglob("escaped.txt"))
    assert not list(site.folder.parent.rglob("escaped.txt"))
    assert [row for row in site.store.rows() if row.id == told["id"]] == []


def test_the_honest_bundle_is_accepted(tmp_path: Path, honest: Files) -> None:
    """So that what is refused above is refused for what was done to it. On a site that has seen no copy of it."""
    site = Site(tmp_path / "store", tmp_path / "answers", LIMITS)
    told = site.submit(sealed(honest), site.token()).json()
    site.verify()
    assert site.client.get(told["url"]).json()["state"] == "accepted"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "<svg onload=alert(1)>", "</script><img src=x>", "=1+1"])
def test_names_are_shown_as_text(tmp_path: Path, honest: Files, name: str, site: Site) -> None:
    own = Site(tmp_path / "store", site.answers, LIMITS)
    told = own.submit(renamed(honest, name=name, organisation=name), own.token()).json()
    own.verify()
    assert own.client.get(told["url"]).json()["state"] == "accepted"
    own.publish()
    for path in ("/", f"/encoder/{told['id']}.html", "/compare.html", "/tasks.html", "/plots.html"):
        page = own.client.get(path)
        assert page.status_code == 200
        for broken in ("<script>alert", "<svg onload", "<img src=x"):
            assert broken not in page.text
    rows = own.client.get(f"{API}/rows")
    assert rows.headers["content-type"] == "application/json"
    assert rows.headers["x-content-type-options"] == "nosniff"
    assert rows.json()["rows"][0]["name"] == name
    assert not any(line.startswith("=") for line in own.client.get(f"{API}/rows.csv?column=name").text.splitlines())


@pytest.mark.parametrize("text", ["' OR 1=1 --", "'; DROP TABLE submissions; --", '" UNION SELECT hash FROM tokens --'])
def test_sql_is_text(site: Site, text: str) -> None:
    site.publish()
    before = site.state()
    for key in ("q", "task"):
        assert site.client.get(f"{API}/rows", params={key: text}).json()["total"] == 0
    assert is_error(site.client.get(f"{API}/rows", params={"sort": text}), 422, "invalid")
    assert is_error(site.client.get(f"{API}/rows.csv", params={"row": text}), 422, "invalid")
    assert is_error(site.client.get(f"{API}/submissions/{text.replace('/', '')}"), 404, "not_found")
    assert is_error(site.client.get(f"{API}/tasks/tgit/rotate/queries", params={"row": text}), 404, "not_found")
    assert site.state() == before
    assert site.client.get(f"{API}/healthz").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/../leaderboard.db", "/..%2f..%2fleaderboard.db", "/%2e%2e/%2e%2e/leaderboard.db", "//etc/passwd"),
        *("/static/../../../leaderboard.db", "/static/%00", "/files.json", "/encoder/..\\..\\leaderboard.db"),
        "/current.json",
    ],
)
def test_no_path_leaves_the_pages(site: Site, path: str) -> None:
    site.publish()
    reply = site.client.get(path)
    assert is_error(reply, 404, "not_found")
    assert b"SQLite" not in reply.content


def test_tokens_that_are_not_taken(site: Site, honest: Files) -> None:
    body, before = sealed(honest) + b"", site.state()
    token, other = site.token(), site.token("read")
    expired = site.token(days=1e-9)
    site.store.token_revoke(token.split("_")[1])
    time.sleep(0.01)
    forged = f"fuselip_{other.split('_')[1]}_{'A' * 43}"
    for bad, status, code in (
        (token, 401, "token_revoked"),
        (expired, 401, "token_expired"),
        (other, 403, "token_scope"),
        (forged, 401, "token_unknown"),
        ("fuselip_x' OR 1=1 --_y", 401, "token_unknown"),
        ("x" * 1000, 401, "missing_token"),
    ):
        assert is_error(site.submit(body, bad), status, code)
    assert is_error(site.client.post(f"{API}/submissions", content=body), 401, "missing_token")
    assert site.state() == before


def test_a_replay_with_another_token(site: Site, honest: Files) -> None:
    body, owner = renamed(honest, name="Owned"), site.token()
    first = site.submit(body, owner).json()
    before = site.state()
    assert is_error(site.submit(body, site.token()), 409, "replayed")
    assert site.state() == before
    assert site.submit(body, owner).json()["id"] == first["id"]
    assert site.state() == before


def test_copied_answers_under_another_name(tmp_path: Path, honest: Files, site: Site) -> None:
    own = Site(tmp_path / "store", site.answers, LIMITS)
    assert own.submit(sealed(honest), own.token()).status_code == 202
    own.verify()
    told = own.submit(renamed(honest, name="Thief"), own.token()).json()
    own.verify()
    found = own.client.get(told["url"]).json()
    assert found["state"] == "refused"
    assert "copy" in found["faults"][0]["what"]


def test_oversized_uploads(site: Site) -> None:
    before, token = site.state(), site.token()
    declared = site.submit(b"PK\x03\x04", token, **{"Content-Length": str(1 << 40)})
    assert is_error(declared, 413, "too_large")

    def chunks() -> Iterator[bytes]:
        yield b"PK\x03\x04"
        for _ in range(64):
            yield bytes(1 << 16)

    assert is_error(site.submit(chunks(), token), 413, "too_large")
    assert is_error(site.submit(b"", token), 400, "empty")
    assert is_error(site.submit(b"<html>", token), 415, "no_zip")
    assert is_error(
        site.client.post(f"{API}/challenges", content=bytes(2 << 20), headers=bearer(token)), 413, "too_large"
    )
    assert site.state() == before
    assert list((site.folder / "server" / "incoming").iterdir()) == []


@contextmanager
def listening(site: Site) -> Iterator[tuple[str, int]]:
    """The application behind a real socket, as `serve` runs it."""
    import uvicorn

    config = uvicorn.Config(
        site.app, port=0, http=protocol(LIMITS), ws="none", log_config=None, h11_max_incomplete_event_size=16384
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[:2]
    finally:
        server.should_exit = True
        thread.join()


def answer(address: tuple[str, int], *parts: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the server hangs up."""
    with socket.create_connection(address, timeout=20) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(pause)
        found = b""
        try:
            while block := connection.recv(65536):
                found += block
        except ConnectionResetError:
            pass
        return found


def test_slow_and_crooked_connections(site: Site) -> None:
    before, token = site.state(), site.token()
    start = f"POST {API}/submissions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n".encode()
    with listening(site) as address:
        began = time.monotonic()
        assert answer(address, start) == b"", "headers that never end are hung up on"
        stalled = answer(address, start + b"Content-Length: 1000\r\n\r\nPK\x03\x04")
        assert stalled.startswith(b"HTTP/1.1 408")
        assert json.loads(stalled.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_slow"
        assert time.monotonic() - began < 10
        long = answer(address, start + b"X: " + bytes(b"x" * 40000) + b"\r\n\r\n")
        assert long.startswith(b"HTTP/1.1 4")
        both = answer(address, start + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nPK\x03\x04.")
        assert both.startswith(b"HTTP/1.1 400")
        for path in (b"/../../leaderboard.db", b"//../leaderboard.db", b"/static/../../../leaderboard.db"):
            raw = answer(address, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert raw.startswith(b"HTTP/1.1 404")
        with socket.create_connection(address) as broken:
            broken.sendall(start + b"Content-Length: 1000\r\n\r\nPK\x03\x04")
        time.sleep(0.3)
    assert site.state() == before
    assert list((site.folder / "server" / "incoming").iterdir()) == []
