"""Verification in processes of their own: bounded, tried again, and killed at any point without a loss."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("jinja2")
pytest.importorskip("httpx")

from lb_bundles import make_bundle
from lb_server import API, Site, alive, children, get, post, serving, until

from leaderboard.server import worker
from leaderboard.server.worker import Bounds, Place

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


def once(site: Site, *options: str, code: str = "") -> None:
    """One worker until nothing waits; `code` runs in it before, and is inherited by its children."""
    arguments = ["--store", str(site.folder), "--answers", str(site.answers), "--once", *options]
    run = f"import sys\nfrom leaderboard.server import worker\n{code}\nsys.argv[1:] = {arguments!r}\nworker.main()\n"
    subprocess.run([sys.executable, "-c", run], check=True, timeout=120, capture_output=True)


def test_a_worker_accepts_and_refuses(tmp_path: Path, answers: Path) -> None:
    site = Site(tmp_path / "store", answers)
    token = site.token()
    good = site.submit(make_bundle(tmp_path).read_bytes(), token).json()["id"]
    bad = site.submit(b"PK\x03\x04 nothing", token).json()["id"]
    once(site)
    assert (site.store.submission(good).state, site.store.submission(good).badge) == ("accepted", "consistent")
    assert site.store.submission(bad).state == "refused"


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        ("worker.judge = lambda *_: __import__('os').abort()", (), "SIGABRT"),
        ("worker.judge = lambda *_: __import__('time').sleep(60)", ("--seconds", "1"), "over 1 s"),
        ("def spin(*_):\n    while True: pass\nworker.judge = spin", ("--seconds", "2"), "over 2 s"),
        ("worker.judge = lambda *_: bytearray(4 << 30)", ("--memory-mb", "256"), "exit code"),
        ("worker.judge = lambda *_: 1 / 0", (), "exit code"),
    ],
    ids=["aborts", "sleeps", "spins", "grows", "fails"],
)
def test_a_verification_that_dies_is_tried_thrice(
    tmp_path: Path, answers: Path, code: str, options: tuple[str, ...], said: str
) -> None:
    site = Site(tmp_path / "store", answers)
    id_ = site.submit(b"PK\x03\x04", site.token()).json()["id"]
    once(site, *options, code=code)
    found = site.store.submission(id_)
    assert (found.state, found.attempts) == ("refused", worker.TRIES)
    assert said in found.faults[0]["what"]
    whys = [each.detail["why"] for each in site.store.events(id_) if each.action == "released"]
    assert len(whys) == worker.TRIES - 1
    assert all(said in why for why in whys)
    site.store.verify_journal()


def test_memory_is_bounded_where_it_is_used(tmp_path: Path, answers: Path) -> None:
    """A real bundle, and a bound that is too small for it: refused, and the worker lives on."""
    site = Site(tmp_path / "store", answers)
    site.submit(make_bundle(tmp_path).read_bytes(), site.token())
    once(site, "--memory-mb", "1")
    (found,) = site.store.submissions()
    assert found.state == "refused"


def test_a_released_submission_has_no_verdict_of_ours(tmp_path: Path, answers: Path) -> None:
    site = Site(tmp_path / "store", answers)
    id_ = site.submit(b"PK\x03\x04", site.token()).json()["id"]
    site.store.release(id_, "nobody holds it")
    assert site.store.submission(id_).attempts == 0
    assert site.store.claim() is not None
    assert site.store.claim() is None
    site.store.release(id_, "stopped", counts=False)
    again = site.store.claim()
    assert again is not None
    assert again.attempts == 1
    worker.judge(Place(str(site.folder), answers), id_)
    site.store.release(id_, "too late")
    assert site.store.submission(id_).state == "refused"


def test_the_bounds_are_set(tmp_path: Path) -> None:
    code = (
        "import resource\nfrom leaderboard.server.worker import Bounds, confine\nconfine(Bounds(64 << 20, 7, 9))\n"
        "assert resource.getrlimit(resource.RLIMIT_CPU)[0] in (7, 8, 9)\n"
        "try:\n    bytearray(128 << 20)\nexcept MemoryError:\n    print('bounded')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "bounded\n"
    assert Bounds().memory == 2 << 30


def test_kill_during_a_verification(tmp_path: Path) -> None:
    """kill -9 of the worker and then of the server while they verify: the next server ends what they began."""
    folder = tmp_path / "store"
    site = Site(folder, tmp_path)
    token, bundles = site.token(), [make_bundle(tmp_path, f"E{n}", 0.5, n).read_bytes() for n in range(3)]
    with serving(folder) as (url, process):
        ids = [post(f"{url}{API}/submissions", body, token)[1]["id"] for body in bundles]
        until(lambda: site.store.submissions("verifying"), 90)
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(children(process.pid)) == 2)
        offspring = children(process.pid)
        process.kill()
        process.wait()
    until(lambda: not any(map(alive, offspring)), 20)
    with serving(folder) as (url, _):
        for id_ in ids:
            until(lambda id_=id_: get(f"{url}{API}/submissions/{id_}")[1]["state"] == "accepted", 90)
        until(lambda: get(f"{url}{API}/rows?comparable=true")[1].get("total") == 3, 60)
    site.store.verify_journal()
    assert len(site.store.submissions()) == 3


def test_kill_during_an_upload(tmp_path: Path) -> None:
    """Nothing half-written is taken up; what had its receipt is there; the same upload again is whole."""
    folder = tmp_path / "store"
    site = Site(folder, tmp_path)
    token, body = site.token(), make_bundle(tmp_path).read_bytes()
    other = make_bundle(tmp_path, "Other", 0.6).read_bytes()
    with serving(folder, "--workers", "0") as (url, process):
        receipt = post(f"{url}{API}/submissions", other, token)[1]["id"]
        host = urlsplit(url).netloc
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.putrequest("POST", f"{API}/submissions")
        connection.putheader("Authorization", f"Bearer {token}")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[: len(body) // 2])
        until(lambda: list((folder / "server" / "incoming").glob("*.part")))
        process.kill()
        process.wait()
        connection.close()
    assert [each.id for each in site.store.submissions()] == [receipt]
    assert len(list((folder / "bundles").glob("*.zip"))) == 1
    with serving(folder, "--workers", "0") as (url, _):
        assert post(f"{url}{API}/submissions", body, token)[0] == 202
        assert post(f"{url}{API}/submissions", other, token)[1]["id"] == receipt
    assert len(site.store.submissions()) == 2
    site.store.verify_journal()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path / "store") as (url, process):
        until(lambda: len(children(process.pid)) == 2)
        offspring = children(process.pid)
        until(lambda: get(f"{url}{API}/board")[0] == 200)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 15
        assert process.stdout is not None
        assert process.stdout.read().strip().endswith("stopped")
    assert not any(map(alive, offspring))


def test_what_it_refuses_to_start_with(tmp_path: Path) -> None:
    def refused(*options: str) -> str:
        command = [sys.executable, "-m", "leaderboard.cli", "serve", "--store", str(tmp_path / "store"), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "--public" in refused("--host", "0.0.0.0")
    with serving(tmp_path / "store", "--workers", "0") as (url, _):
        assert "another server" in refused("--port", "0")
        assert "--port" in refused("--port", str(urlsplit(url).port), "--work", str(tmp_path / "other"))
        assert json.dumps(get(f"{url}{API}/healthz")[1])
