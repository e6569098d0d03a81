"""Real servers for tests: the application over a store of its own, and `serve` as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaderboard.server.app import create_app
from leaderboard.server.gateway import Gate
from leaderboard.server.limits import Limits
from leaderboard.server.publisher import publish
from leaderboard.server.worker import Place, judge
from leaderboard.store import Store

API = "/api/v1"


@dataclass
class Site:
    """A store, its application, and a client of it. `verify` and `publish` do in this process what others do beside."""

    folder: Path
    answers: Path
    limits: Limits = field(default_factory=Limits)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from starlette.testclient import TestClient

        self.store = Store.open(self.folder)
        self.gate = Gate(self.store)
        self.app = create_app(self.store, str(self.folder), self.folder / "server", limits=self.limits, **self.options)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def token(self, *scopes: str, days: float = 1) -> str:
        return self.store.token_create(scopes or ("submit",), days)[0]

    def submit(self, body: Any, token: str, **headers: str) -> Any:
        return self.client.post(f"{API}/submissions", content=body, headers={**bearer(token), **headers})

    def verify(self) -> None:
        while found := self.store.claim():
            judge(Place(str(self.folder), self.answers), found.id)

    def publish(self) -> None:
        publish(self.gate, self.folder / "server" / "pages")

    def state(self) -> Any:
        """All that must not change where a request is refused."""
        files = sorted(str(path.relative_to(self.folder)) for path in (self.folder / "bundles").rglob("*"))
        return files, [(each.id, each.state) for each in self.store.submissions()]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def is_error(response: Any, status: int, code: str) -> bool:
    """Whether it is our one shape of error, without anything of this machine's in it."""
    assert response.status_code == status, (response.status_code, response.text)
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "mend", "where"}
    assert all(isinstance(part, str) and part for part in body["error"].values())
    assert body["error"]["code"] == code, body
    assert "Traceback" not in response.text
    assert str(Path(__file__).parents[2]) not in response.text
    return True


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`fuselip-leaderboard serve` as a process: (its address, it). What it started ends with it."""
    command = [sys.executable, "-m", "leaderboard.cli", "serve", "--store", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"on (http://\S+:\d+)/", line):
                break
        else:
            raise AssertionError("it did not start")
        until(lambda: get(f"{found[1]}{API}/healthz")[0] == 200)
        yield found[1], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        process.stdout.close()


def get(url: str, **headers: str) -> tuple[int, Any]:
    """(status, JSON) of a GET; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return 0, None


def post(url: str, data: bytes, token: str) -> tuple[int, Any]:
    sent = urllib.request.Request(url, data, {**bearer(token), "Content-Type": "application/zip"}, method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def until(condition: Any, seconds: float = 60.0) -> Any:
    """What `condition` returns once that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
    return found


def children(pid: int) -> list[int]:
    """Processes that `pid` started and that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
