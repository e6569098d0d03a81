"""What may be fetched, how lists of URLs are read, and what messages mean: without img2dataset."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fetch_site import jpeg, serving

from datagen.fetch import guard, outcome, run, urls
from datagen.fetch.guard import Limits
from fuselip.core.errors import UsageError, UserError


@pytest.fixture
def site() -> Iterator[SimpleNamespace]:
    with serving() as found:
        yield found


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

    def resolve(host: str, *rest: Any) -> list[Any]:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.7")]
        return found if host == "pictures.example" else real(host, *rest)

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
