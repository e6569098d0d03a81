"""Challenges over HTTP: handed out, answered once by whose row it is; replayed, forged and expired ones are refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("jinja2")
pytest.importorskip("httpx")

import msgspec
from lb_bundles import make_bundle
from lb_server import API, Site, bearer, is_error

from benchmarks.challenge_file import Response, Told, read_challenge, write_response

pytestmark = pytest.mark.slow
WISH = {"tasks": ["scenes/position"], "questions": 2}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    return Site(folder / "store", folder / "answers")


@pytest.fixture(scope="module")
def owner(site: Site) -> tuple[str, str]:
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
    for bad in ({"tasks": ["cirr/none"]}, {"tasks": []}, {"hours": 0}, {"questions": 0}, {"seed": 1}):
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


def test_a_submission_tries_a_few_a_week(site: Site, owner: tuple[str, str]) -> None:
    token, id_ = owner
    made = hand_out(site, token)
    for number in range(3):
        about = {"names": [], "questions": 1, "created": "2026-01-01T00:00:00Z", "content": ""}
        site.store.challenge_add(f"c-{number}", "1", about, "2999-01-01T00:00:00.000000+00:00")
        site.store.challenge_settle(f"c-{number}", id_, {}, tries=99)
    reply = respond(site, answered(made.content, id_), token)
    assert is_error(reply, 409, "no_try_left")
    assert "may be answered after 20" in reply.json()["error"]["message"]
