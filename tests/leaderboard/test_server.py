"""The API over a real store: submitting, reading, pages, limits, and the one shape of its errors."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("jinja2")
pytest.importorskip("httpx")

from lb_bundles import make_bundle
from lb_server import API, Site, is_error

from leaderboard.server.limits import Buckets, Limits, Rate
from leaderboard.server.security import HEADERS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two accepted rows of two owners, published."""
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder / "store", folder / "answers")
    for number, name in enumerate(("First", "Second")):
        body = make_bundle(folder, name, 0.3 + 0.3 * number, number).read_bytes()
        assert site.submit(body, site.token()).status_code == 202
    site.verify()
    site.publish()
    return site


@pytest.fixture
def empty(tmp_path: Path) -> Site:
    return Site(tmp_path / "store", tmp_path / "answers")


def test_a_bundle_becomes_a_row(site: Site) -> None:
    rows = [row for row in site.client.get(f"{API}/rows").json()["rows"] if row["comparable"]]
    assert {row["name"]: row["badge"] for row in rows} == {"First": "consistent", "Second": "consistent"}
    told = site.client.get(f"{API}/submissions/{rows[0]['id']}").json()
    assert (told["state"], told["badge"], told["faults"]) == ("accepted", "consistent", [])
    assert site.client.get(f"{API}/submissions/{told['sha256']}").json() == told


def test_sending_again_is_the_same_submission(empty: Site, tmp_path: Path) -> None:
    body, token = make_bundle(tmp_path).read_bytes(), empty.token()
    replies = [empty.submit(body, token) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [202] * 3
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert replies[0].headers["Location"] == replies[0].json()["url"]
    assert empty.client.get(replies[0].headers["Location"]).json()["state"] == "received"
    assert len(empty.store.submissions()) == 1


def test_what_is_sent_is_what_was_meant(empty: Site, tmp_path: Path) -> None:
    body, token = make_bundle(tmp_path).read_bytes(), empty.token()
    assert is_error(empty.submit(body, token, **{"Idempotency-Key": "0" * 64}), 400, "damaged")
    assert empty.store.submissions() == []
    assert list((tmp_path / "store" / "server" / "incoming").iterdir()) == []


def test_a_refused_submission_says_why(empty: Site, tmp_path: Path) -> None:
    told = empty.submit(b"PK\x03\x04" + bytes(100), empty.token()).json()
    empty.verify()
    found = empty.client.get(told["url"]).json()
    assert found["state"] == "refused"
    assert all(fault.keys() == {"where", "what", "mend"} for fault in found["faults"])
    assert found["faults"]
    assert str(tmp_path) not in json.dumps(found)


def test_rows_are_filtered_sorted_and_cut(site: Site) -> None:
    def names(query: str) -> list[str]:
        return [row["name"] for row in site.client.get(f"{API}/rows?comparable=true&{query}").json()["rows"]]

    assert names("q=sec") == ["Second"]
    assert names("q=EXAMPLE+first") == ["First"]
    assert names("q=%25") == []
    assert names("sort=name") == ["First", "Second"]
    assert names("sort=name&offset=1&limit=1") == ["Second"]
    assert names("task=tgit/rotate&sort=created") == ["First", "Second"]
    assert names("badge=re-run") == []
    assert is_error(site.client.get(f"{API}/rows?sort=password"), 422, "invalid")


def test_a_task_and_its_questions(site: Site) -> None:
    told = site.client.get(f"{API}/tasks/tgit/rotate").json()
    assert [each["name"] for each in told["scores"]] == ["Second", "First"]
    ids = [each["id"] for each in told["scores"]]
    address = f"{API}/tasks/tgit/rotate/queries?row={ids[0]}&row={ids[1]}"
    first = site.client.get(f"{address}&limit=3").json()
    rest = site.client.get(f"{address}&limit=100&offset=3").json()
    assert first["total"] == 90 == 3 + len(rest["queries"])
    right = {
        id_: sum(each["rows"][id_]["rank"] == 1 for each in first["queries"] + rest["queries"]) / 90 for id_ in ids
    }
    assert right == {each["id"]: pytest.approx(each["score"]["value"]) for each in told["scores"]}
    differ = site.client.get(f"{address}&differ=true&limit=100").json()["queries"]
    assert differ
    for each in differ:
        assert each["rows"][ids[0]]["top"][0]["candidate"] != each["rows"][ids[1]]["top"][0]["candidate"]
    assert is_error(site.client.get(f"{API}/tasks/no/such/queries?row={ids[0]}"), 404, "not_found")
    assert is_error(site.client.get(f"{API}/tasks/tgit/rotate/queries?row=s-none"), 404, "not_found")
    assert is_error(site.client.get(f"{API}/tasks/tgit/rotate/queries"), 422, "invalid")


def test_exports(site: Site) -> None:
    text = site.client.get(f"{API}/rows.csv?column=name&column=task:tgit/rotate").text
    assert text.splitlines()[0].startswith("name,task:tgit/rotate")
    assert "Second" in text
    assert site.client.get(f"{API}/rows.tex").text.startswith("\\begin{table}")
    assert is_error(site.client.get(f"{API}/rows.csv?column=secret"), 422, "invalid")


def test_pages_are_cached_and_compressed(site: Site) -> None:
    plain = site.client.get("/", headers={"Accept-Encoding": "identity"})
    packed = site.client.get("/")
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.text == packed.text
    assert plain.headers["etag"] != packed.headers["etag"]
    again = site.client.get("/", headers={"If-None-Match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    named = re.findall(r'(?:src|href)="([^"#:]+)"', plain.text)
    assert {site.client.get(f"/{name}").status_code for name in named} == {200}


def test_a_publication_takes_the_place_of_the_last_whole(empty: Site, tmp_path: Path) -> None:
    assert is_error(empty.client.get("/"), 503, "not_published")
    assert is_error(empty.client.get(f"{API}/board"), 503, "not_published")
    empty.publish()
    before = empty.client.get("/")
    assert before.status_code == 200
    empty.submit(make_bundle(tmp_path, "Newcomer").read_bytes(), empty.token())
    empty.verify()
    assert empty.client.get("/").text == before.text
    for _ in range(5):
        empty.publish()
    assert "Newcomer" in empty.client.get("/").text
    assert len([path for path in (tmp_path / "store/server/pages").iterdir() if path.is_dir()]) == 3
    assert empty.client.get(f"{API}/board").json()["made"].keys() <= {"fuselip", "commit", "created"}


def test_every_answer_has_the_headers(site: Site) -> None:
    for path in ("/", f"{API}/rows", "/no/such", f"{API}/submissions/x", "/api/docs", f"{API}/rows?limit=x"):
        reply = site.client.get(path)
        assert {key: reply.headers.get(key) for key in HEADERS} == HEADERS
        assert "set-cookie" not in reply.headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")


def test_the_documentation_needs_nothing_from_elsewhere(site: Site) -> None:
    page = site.client.get("/api/docs").text
    schema = site.client.get("/api/openapi.json").json()
    assert "<script" not in page
    assert "://" not in page
    assert all(path in page for path in schema["paths"])
    assert {f"{API}/submissions", f"{API}/board", f"{API}/healthz"} < schema["paths"].keys()
    assert site.client.get("/api/docs.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v2/rows", 404, "not_found"),
        ("GET", "/.fuselip-leaderboard", 404, "not_found"),
        ("DELETE", f"{API}/rows", 405, "method_not_allowed"),
        ("POST", f"{API}/submissions", 401, "missing_token"),
        ("GET", f"{API}/challenges/none", 404, "not_found"),
        ("GET", f"{API}/rows?q={'x' * 5000}", 414, "url_too_long"),
    ],
)
def test_errors_have_one_shape(site: Site, method: str, path: str, status: int, code: str) -> None:
    assert is_error(site.client.request(method, path), status, code)


def test_a_defect_of_ours_tells_nothing(empty: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(empty.store.__class__, "find", lambda *_: 1 / 0)
    assert is_error(empty.client.get(f"{API}/submissions/x"), 500, "defect")


def test_health(site: Site, empty: Site) -> None:
    assert site.client.get(f"{API}/healthz").json()["status"] == "ok"
    empty.submit(b"PK\x03\x04", empty.token())
    assert empty.client.get(f"{API}/healthz").json() == {"status": "ok", "waiting": 1, "published": ""}


def test_rates(tmp_path: Path) -> None:
    limits = Limits(reads=Rate(60, 3), token_writes=Rate(60, 2), failures=Rate(60, 2))
    site = Site(tmp_path / "store", tmp_path, limits)
    assert [site.client.get(f"{API}/healthz").status_code for _ in range(3)] == [200] * 3
    late = site.client.get(f"{API}/healthz", headers={"X-Forwarded-For": "192.0.2.1"})
    assert is_error(late, 429, "too_many_requests")
    assert late.headers["Retry-After"] == "1"


def test_a_token_and_a_guesser_are_slowed_down(tmp_path: Path) -> None:
    limits = Limits(token_writes=Rate(1, 2), failures=Rate(1, 2))
    site = Site(tmp_path / "store", tmp_path, limits)
    token, other = site.token(), site.token()
    assert [site.submit(b"PK\x03\x04", token).status_code for _ in range(3)] == [202, 202, 429]
    assert site.submit(b"PK\x03\x04.", other).status_code == 202
    assert [site.submit(b"PK\x03\x04", "guess").status_code for _ in range(3)] == [401, 401, 429]


def test_addresses_come_from_a_proxy_only_where_there_is_one(tmp_path: Path) -> None:
    limits = Limits(reads=Rate(1, 1))
    site = Site(tmp_path / "store", tmp_path, limits, {"behind_proxy": True})

    def ask(forwarded: str) -> int:
        status: int = site.client.get(f"{API}/healthz", headers={"X-Forwarded-For": forwarded}).status_code
        return status

    assert [ask("192.0.2.1"), ask("192.0.2.2"), ask("192.0.2.1")] == [200, 200, 429]
    assert ask("192.0.2.9, 192.0.2.2") == 429, "what a client writes before the proxy's own entry is not believed"


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 10), st.floats(1, 600))
def test_a_bucket_never_gives_more_than_its_rate(pauses: list[float], burst: int, per_minute: float) -> None:
    buckets, now, given_out = Buckets(Rate(per_minute, burst)), 0.0, 0
    for pause in pauses:
        now += pause
        wait = buckets.take("one", now)
        given_out += not wait
        assert given_out <= burst + now * per_minute / 60 + 1e-6
        if wait:
            assert buckets.take("one", now + wait + 1e-6, cost=0) == 0
            now += wait + 1e-6


def test_buckets_are_bounded() -> None:
    buckets = Buckets(Rate(1, 1), most=10)
    for number in range(1000):
        buckets.take(str(number))
    assert len(buckets._left) == 10


def test_gzip_is_of_the_same_bytes(site: Site) -> None:
    pages = site.folder / "server" / "pages"
    current = json.loads((pages / "current.json").read_text())
    listed = json.loads((pages / current["folder"] / "files.json").read_text())
    assert any(file["gzip"] for file in listed.values())
    for name, file in listed.items():
        path = pages / current["folder"] / name
        if file["gzip"]:
            assert gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes()) == path.read_bytes()
