"""Challenges over HTTP: handed out, answered once by whose row it is; replayed, forged and expired ones are refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("jinja2")
pytest.importorskip("httpx")

import msgspec
from click.testing import CliRunner
from lb_bundles import make_bundle
from lb_server import API, Site, bearer, get, is_error, post, serving, until

from benchmarks.challenge_file import Response, Told, read_challenge, write_response
from benchmarks.cli import main as bench
from leaderboard.store import Store

pytestmark = pytest.mark.slow
WISH: dict[str, Any] = {"tasks": ["scenes/position"], "questions": 2}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    return Site(folder / "store", folder / "answers")


@pytest.fixture(scope="module")
def owner(site: Site) -> tuple[str, str]:
    return owner_on(site)


def owner_on(site: Site) -> tuple[str, str]:
    """(token, id of its accepted submission)."""
    token = site.token()
    id_ = site.submit(make_bundle(site.folder.parent, tasks=("scenes/position",)).read_bytes(), token).json()["id"]
    site.verify()
    assert site.store.submission(id_).state == "accepted"
    return token, id_


def hand_out(site: Site, token: str, **changes: Any) -> Any:
    made = site.client.post(f"{API}/challenges", json={**WISH, **changes}, headers=bearer(token))
    assert made.status_code == 201, made.text
    return made


def answered(data: bytes, submission: str) -> Response:
    """Every candidate scored alike: no better than chance, but whole."""
    asked, _ = read_challenge(data, "the challenge")
    scores = {each.id: dict.fromkeys(each.candidates, 0.5) for each in asked.questions}
    told = Told("Tuned", dim=32)
    return Response(1, asked.id, asked.signature, told, submission, "2026-01-01T00:00:00Z", "scores", scores)


def respond(site: Site, response: Response, token: str) -> Any:
    address = f"{API}/challenges/{response.challenge}/response"
    return site.client.post(address, content=write_response(response), headers=bearer(token))


def test_it_keeps_its_seed(site: Site) -> None:
    assert is_error(site.client.post(f"{API}/challenges", json=WISH), 401, "missing_token")
    token = site.token()
    made = hand_out(site, token)
    told = site.client.get(made.headers["Location"]).json()
    assert (told["state"], told["seed"], told["questions"]) == ("open", None, 2)
    held = site.store.challenge(told["id"]).seed
    assert held not in site.client.get(f"{API}/challenges").text
    assert held.encode() not in made.content
    for bad in ({"tasks": ["cirr/none"]}, {"tasks": [""]}, {"hours": 0}, {"questions": 0}, {"seed": 1}):
        reply = site.client.post(f"{API}/challenges", json={**WISH, **bad}, headers=bearer(token))
        assert is_error(reply, 422, "invalid")


def test_one_use_by_its_owner(site: Site, owner: tuple[str, str]) -> None:
    token, id_ = owner
    response = answered(hand_out(site, token).content, id_)
    assert is_error(respond(site, response, site.token()), 403, "not_yours")
    stranger = msgspec.structs.replace(response, submission="s-none")
    assert is_error(respond(site, stranger, token), 404, "not_found")
    forged = msgspec.structs.replace(response, signature="0" * 64)
    assert is_error(respond(site, forged, token), 400, "invalid_response")
    half = msgspec.structs.replace(response, scores=dict(list(response.scores.items())[:1]))
    assert is_error(respond(site, half, token), 400, "invalid_response")
    reply = respond(site, response, token)
    assert reply.status_code == 200, reply.text
    assert reply.json()["challenge_id"] == response.challenge
    assert is_error(respond(site, response, token), 409, "used")
    told = site.client.get(f"{API}/challenges/{response.challenge}").json()
    assert (told["state"], told["used_by"], told["seed"]) == ("used", id_, None)
    site.publish()
    (row,) = [row for row in site.client.get(f"{API}/rows?comparable=true").json()["rows"] if row["id"] == id_]
    assert row["challenge"]["gap"] == pytest.approx(reply.json()["gap"]["value"])


def test_too_late(site: Site, owner: tuple[str, str]) -> None:
    token, id_ = owner
    made = hand_out(site, token, hours=1e-3)
    time.sleep(4.5)
    assert is_error(respond(site, answered(made.content, id_), token), 409, "expired")
    told = site.client.get(made.headers["Location"]).json()
    assert (told["state"], len(told["seed"])) == ("expired", 64)


def test_what_is_no_response(site: Site, owner: tuple[str, str]) -> None:
    made = hand_out(site, owner[0])
    for body in (b"", b"PK\x03\x04", json.dumps({"schema": 1}).encode()):
        reply = site.client.post(f"{made.headers['Location']}/response", content=body, headers=bearer(owner[0]))
        assert is_error(reply, 400, "invalid_response")


def test_a_submission_tries_a_few_a_week(tmp_path: Path) -> None:
    site = Site(tmp_path / "store", tmp_path / "answers")
    token, id_ = owner_on(site)
    made = hand_out(site, token)
    for number in range(3):
        about = {"names": [], "questions": 1, "created": "2026-01-01T00:00:00Z", "content": ""}
        site.store.challenge_add(f"c-{number}", "1", about, "2999-01-01T00:00:00.000000+00:00")
        site.store.challenge_settle(f"c-{number}", id_, {}, tries=99)
    reply = respond(site, answered(made.content, id_), token)
    assert is_error(reply, 409, "no_try_left")
    assert "may be answered after 20" in reply.json()["error"]["message"]


def test_the_benchmark_answers_a_server(tmp_path: Path) -> None:
    """`run --challenge URL`: fresh questions of all tasks are asked for, answered and scored over the network."""
    store = Store.open(tmp_path / "store")
    token = tmp_path / "token"
    token.write_text(store.token_create(("submit",), 1)[0])
    with serving(tmp_path / "store") as (url, _):
        data = make_bundle(tmp_path, tasks=("scenes/position",)).read_bytes()
        id_ = post(f"{url}{API}/submissions", data, token.read_text())[1]["id"]
        until(lambda: get(f"{url}{API}/submissions/{id_}")[1]["state"] == "accepted")
        out = tmp_path / "response.zip"
        options = ["--submission", id_, "--token-file", str(token), "--output", str(out)]
        done = CliRunner().invoke(bench, ["run", "--model", "lb_bundles:Tuned", "--challenge", url, *options])
        assert done.exit_code == 0, done.output
        assert "questions answered" in done.output
        assert "fresh questions" in done.output
        (told,) = get(f"{url}{API}/challenges")[1]["challenges"]
    assert (told["state"], told["used_by"]) == ("used", id_)
    assert len(told["outcome"]["tasks"]) == len(told["tasks"]) > 30
