"""Fetching by a list of URLs: what is refused, how lists are read, and real fetches from a server on this machine."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sets
from click.testing import CliRunner

from datagen.fetch import guard, outcome, run, urls
from datagen.fetch.command import fetch as command
from datagen.fetch.guard import Limits
from datagen.sources.registry import open_source
from datagen.sources.types import SourceItem
from fuselip.core.errors import UsageError, UserError


def jpeg(number: int, side: int = 64) -> bytes:
    stream = io.BytesIO()
    sets.picture(number, side, side).save(stream, "JPEG", quality=90)
    return stream.getvalue()


class Site(BaseHTTPRequestHandler):
    """/good/N, /flaky/N (503 the first time), /missing, /slow, /corrupt, /page, /huge, /cut, /private, /file, /loop."""

    seen: dict[str, int]
    release: threading.Event

    def do_GET(self) -> None:
        kind, _, number = self.path.strip("/").partition("/")
        count = self.seen[self.path] = self.seen.get(self.path, 0) + 1
        if kind == "good" or (kind == "flaky" and count > 1):
            self.answer(200, jpeg(int(number)))
        elif kind == "flaky":
            self.answer(503, b"")
        elif kind == "slow":
            self.release.wait(20)
        elif kind == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.release.wait(0.2):
                self.wfile.write(b"x")
        elif kind == "corrupt":
            self.answer(200, jpeg(1)[:700])
        elif kind == "page":
            self.answer(200, b"<html>not here any more</html>")
        elif kind == "huge":
            self.answer(200, bytes(3_000_000))
        elif kind == "cut":
            self.answer(200, jpeg(1), length=99_999)
        elif kind in ("private", "file", "loop"):
            self.send_response(302)
            port = self.server.server_address[1]
            to = {"private": f"http://127.0.0.1:{port}/good/77", "file": "file:///etc/hostname", "loop": "/loop"}[kind]
            self.send_header("Location", to)
            self.end_headers()
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[SimpleNamespace]:
    handler = type("Handler", (Site,), {"seen": {}, "release": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up, as they should
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_address[1]}", seen=handler.seen)
    handler.release.set()
    server.shutdown()
    server.server_close()


def opened(url: str, limits: Limits, timeout: float = 5.0) -> bytes:
    with guard.opener(limits).open(urllib.request.Request(url), timeout=timeout) as answer:
        found: bytes = answer.read()
        return found


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.com/a.jpg", "data:image/png;base64,AA", "/a.jpg", "", "http://", "http://[::1",
        "http://localhost/a", "http://LOCALHOST./a", "http://x.localhost/a", "http://127.0.0.1/a", "http://[::1]/a",
        "http://10.1.2.3/a", "http://192.168.0.1/a", "http://172.16.0.1:8080/a", "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/a", "http://[fd00::1]/a", "http://[::ffff:127.0.0.1]/a", "http://[64:ff9b::7f00:1]/a",
        "http://[2002:7f00:1::]/a", "http://0.0.0.0/a", "http://224.0.0.1/a", "http://me:pw@example.com/a",
        "http://example.com/a b", "http://example.com:x/a",
    ],
)  # fmt: skip
def test_refused_before_anything_is_sent(url: str) -> None:
    assert guard.refusal(url, Limits())


@pytest.mark.parametrize(
    "url", ["http://example.com/a.jpg", "HTTPS://8.8.8.8:8443/a", "http://[2606:4700::1111]/x?y=1"]
)
def test_let_through(url: str) -> None:
    assert guard.refusal(url, Limits()) == ""


def test_private_addresses_are_let_through_when_told_and_files_never() -> None:
    assert guard.refusal("http://127.0.0.1/a", Limits(allow_private=True)) == ""
    assert guard.refusal("file:///etc/passwd", Limits(allow_private=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"])
def test_the_opener_checks_the_address_it_connects_to(site: SimpleNamespace, host: str) -> None:
    port = site.url.rpartition(":")[2]
    with pytest.raises(urllib.error.URLError, match="not a public address"):
        opened(f"http://{host}:{port}/good/1", Limits())
    assert site.seen == {}


def test_a_name_that_resolves_elsewhere_is_refused(site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public address beside a private one does not help, and the redirect's host is resolved again."""
    port, real = int(site.url.rpartition(":")[2]), socket.getaddrinfo

    def resolve(host: str, *rest: object) -> list[object]:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.7")]
        return found if host == "pictures.example" else real(host, *rest)  # type: ignore[return-value, call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(urllib.error.URLError, match=r"10\.0\.0\.7, not a public address"):
        opened("http://pictures.example/a.jpg", Limits())


def test_a_redirect_into_the_network_is_refused(site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address counts as public here, the redirect's does not."""
    real = guard.is_public
    answers = iter([True])
    monkeypatch.setattr(guard, "is_public", lambda address: next(answers, None) or real(address))
    with pytest.raises(urllib.error.URLError, match="not a public address"):
        opened(f"{site.url}/private", Limits())
    assert site.seen == {"/private": 1}


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("huge", "larger than 1000000"),
        ("drip", "slower than"),
        ("slow", "timed out"),
        ("cut", "IncompleteRead"),
        ("missing", "404"),
        ("file", "file"),
        ("loop", "infinite loop"),
    ],
)
def test_answers_that_are_cut_off(site: SimpleNamespace, path: str, match: str) -> None:
    began = time.monotonic()
    with pytest.raises((OSError, http.client.HTTPException), match=match):
        opened(f"{site.url}/{path}", Limits(True, 1_000_000, 1.0), timeout=1.0)
    assert time.monotonic() - began < 10


def test_a_good_answer_comes_whole(site: SimpleNamespace) -> None:
    assert opened(f"{site.url}/good/3", Limits(allow_private=True)) == jpeg(3)
    assert opened(f"{site.url}/private", Limits(allow_private=True)) == jpeg(77)


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("cc3m.tsv", 'a "big" dog\thttp://x/1\nb\thttp://x/2\n', [("http://x/1", 'a "big" dog'), ("http://x/2", "b")]),
        ("cc12m.tsv", "http://x/1\ta dog\nhttp://x/2\n", [("http://x/1", "a dog"), ("http://x/2", "")]),
        ("list.csv", 'id,caption,url\n7,"a, b",http://x/1\n', [("http://x/1", "a, b")]),
        ("list.txt", "http://x/1\nhttp://x/2\n", [("http://x/1", ""), ("http://x/2", "")]),
        ("upper.tsv", "URL\tTEXT\nhttp://x/1\thi\n", [("http://x/1", "hi")]),
    ],
)
def test_layouts_of_lists(tmp_path: Path, name: str, text: str, rows: list[tuple[str, str]]) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert list(urls.rows(tmp_path / name)) == rows


def test_a_parquet_list_with_named_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"T": ["a", None], "U": ["http://x/1", None]}), tmp_path / "list.parquet")
    assert list(urls.rows(tmp_path / "list.parquet", "U", "T")) == [("http://x/1", "a"), ("", "")]
    with pytest.raises(UsageError, match="--url-col"):
        list(urls.rows(tmp_path / "list.parquet"))


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        ("success", "", "success"),
        ("failed_to_resize", "it is damaged", "not-an-image"),
        ("failed_to_download", "HTTP Error 404: Not Found", "http-404"),
        ("failed_to_download", "HTTP Error 503: Busy", "http-5xx"),
        ("failed_to_download", "<urlopen error [Errno -2] Name or service not known>", "dns"),
        ("failed_to_download", "<urlopen error x is 10.0.0.1, not a public address>", "refused"),
        ("failed_to_download", "<urlopen error [Errno 111] Connection refused>", "connection"),
        ("failed_to_download", "The read operation timed out", "timeout"),
    ],
)
def test_reasons(status: str, message: str, reason: str) -> None:
    assert outcome.reason_of(status, message) == reason


def test_unknown_reasons_to_retry_are_named() -> None:
    assert run.check_reasons(("http-403", "dns")) == ("http-403", "dns")
    with pytest.raises(UsageError, match="did you mean 'timeout'"):
        run.check_reasons(("timeouts",))


def test_without_img2dataset_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"fuselip\[fetch\]"):
        run.fetch(tmp_path / "x.tsv", tmp_path / "out", run.Options(), Limits())


def write_list(path: Path, links: list[str]) -> Path:
    path.write_text("url\tcaption\n" + "".join(f"{link}\tcaption of {n}\n" for n, link in enumerate(links)), "utf-8")
    return path


def manifest(out: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(out / "manifest.parquet").to_pylist()
    return found


FAST = ("--timeout", "2", "--processes", "1", "--threads", "8", "--shard-rows", "10", "--max-mb", "1")


@pytest.mark.slow
def test_a_fetch_with_all_that_goes_wrong(site: SimpleNamespace, tmp_path: Path) -> None:
    """Failed rows alone are tried again, every row is accounted for, and the tars are a source."""
    pytest.importorskip("img2dataset")
    good = [f"good/{number}" for number in range(12)]
    kinds = [*good, "flaky/20", "missing", "slow", "corrupt", "page", "huge", "cut", "private", "file", "drip"]
    links = [f"{site.url}/{kind}" for kind in kinds] + ["file:///etc/hostname"]
    out = tmp_path / "out"
    arguments = [write_list(tmp_path / "list.tsv", links), "--out", out, "--allow-private", "--json", *FAST]
    result = CliRunner().invoke(
        command, [*map(str, arguments), "--retries", "1"], catch_exceptions=False, standalone_mode=False
    )
    rows = dict(zip([*kinds, "file:"], manifest(out), strict=True))
    status = {kind: row["status"] for kind, row in rows.items()}
    assert all(status[kind] == "success" for kind in (*good, "flaky/20", "private")), status
    wanted = {
        "missing": "http-404",
        "slow": "timeout",
        "drip": "timeout",
        "corrupt": "not-an-image",
        "page": "not-an-image",
    }
    wanted |= {"huge": "too-large", "cut": "connection", "file": "refused", "file:": "refused"}
    assert {kind: status[kind] for kind in wanted} == wanted
    assert [rows[kind]["attempts"] for kind in ("good/0", "flaky/20", "missing", "slow", "file:")] == [1, 2, 1, 2, 0]
    assert json.loads(result.stdout)["status"]["success"] == 14
    assert site.seen["/good/0"] == 1
    assert site.seen["/slow"] == 2
    items = {item.key: item for item in open_source(f"wds:{out}/shards/*.tar").items() if isinstance(item, SourceItem)}
    assert len(items) == 14
    first = rows["good/0"]
    item = items[f"{first['shard']}/{first['key']}"]
    assert item.captions == ("caption of 0",)
    assert item.image.source == first["sha256"]


@pytest.mark.slow
def test_without_the_flag_nothing_of_this_machine_is_fetched(site: SimpleNamespace, tmp_path: Path) -> None:
    """Literal addresses are refused at once, names that mean this machine when img2dataset's workers connect."""
    pytest.importorskip("img2dataset")
    port = site.url.rpartition(":")[2]
    links = [f"{site.url}/good/1", f"http://2130706433:{port}/good/2", f"http://127.1:{port}/good/3"]
    arguments = [str(write_list(tmp_path / "list.tsv", links)), "--out", str(tmp_path / "out"), *FAST]
    result = CliRunner().invoke(
        command, [*arguments, "--min-success", "0"], catch_exceptions=False, standalone_mode=False
    )
    assert "0 of 3 rows fetched" in result.output
    assert [row["status"] for row in manifest(tmp_path / "out")] == ["refused"] * 3
    assert site.seen == {}


@pytest.mark.slow
def test_it_stops_below_the_share_and_goes_on_later(site: SimpleNamespace, tmp_path: Path) -> None:
    pytest.importorskip("img2dataset")
    listed = write_list(
        tmp_path / "list.tsv", [f"{site.url}/{kind}" for kind in ("missing", "missing/1", "good/1", "page")]
    )
    arguments = [str(listed), "--out", str(tmp_path / "out"), "--allow-private", *FAST]
    with pytest.raises(UserError, match=r"only 1 of 4 rows .*http-404 2.*--min-success 0.5"):
        CliRunner().invoke(command, [*arguments, "--min-success", "0.5"], catch_exceptions=False, standalone_mode=False)
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    assert "1 of 4 rows fetched" in result.output
    assert site.seen["/good/1"] == 1, "what was fetched is not fetched again"
    with pytest.raises(UsageError, match="image_size differs"):
        CliRunner().invoke(command, [*arguments, "--image-size", "99"], catch_exceptions=False, standalone_mode=False)


@pytest.mark.slow
def test_a_shard_that_was_left_unfinished_is_fetched_again(site: SimpleNamespace, tmp_path: Path) -> None:
    pytest.importorskip("img2dataset")
    out = tmp_path / "out"
    listed = write_list(tmp_path / "list.tsv", [f"{site.url}/good/{number}" for number in range(15)])
    run.fetch(listed, out, run.Options(shard_rows=10, processes=1), Limits(allow_private=True))
    whole = [(row["url"], row["sha256"]) for row in manifest(out)]
    for name in ("shards/00001_stats.json", "rows/00001.parquet", "manifest.parquet"):
        (out / name).unlink()
    (out / "shards/00001.tar").write_bytes((out / "shards/00001.tar").read_bytes()[:3000])
    state = run.fetch(listed, out, run.Options(shard_rows=10, processes=1), Limits(allow_private=True))
    assert state.counts() == {"success": 15}
    assert [(row["url"], row["sha256"]) for row in manifest(out)] == whole
    assert site.seen["/good/0"] == 1
    assert site.seen["/good/14"] == 2
