"""Sending: over a connection that breaks, to servers that refuse, into folders; the token stays a secret."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lb_bundles import make_bundle

from fuselip.core.errors import UsageError, UserError
from fuselip.core.http import Backoff
from leaderboard.bundle import BundleError
from leaderboard.client import Token, read_token, status, submit
from leaderboard.status_command import command as status_command
from leaderboard.submit_command import command as submit_command
from leaderboard.types import Fault

SECRET = "lb_0123456789abcdef"
QUICK = Backoff(attempts=3, base=0.01)


class Board:
    """A small server that keeps what it is sent by its sha256. `behave` may answer a request in its stead."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.seen: list[dict[str, str]] = []
        self.behave: list[Callable[[BaseHTTPRequestHandler], bool]] = []
        self.url = ""


@contextmanager
def serving() -> Iterator[Board]:
    board = Board()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            board.seen.append(dict(self.headers))
            if board.behave and board.behave.pop(0)(self):
                return
            data = self.rfile.read(int(self.headers["Content-Length"]))
            digest = hashlib.sha256(data).hexdigest()
            board.held[digest] = data
            reply(self, 202, {"id": f"s-{digest[:12]}", "state": "received", "url": f"/s/{digest[:12]}"})

        def do_GET(self) -> None:
            known = self.path.rpartition("/s-")[2]
            if not any(digest.startswith(known) for digest in board.held):
                reply(self, 404, {"error": {"message": "there is no such submission", "mend": "check the id"}})
                return
            fault = {"where": "tgit/crop", "what": "is wrong\x1b[2J", "mend": "mend it"}
            reply(
                self, 200, {"id": f"s-{known}", "state": "refused", "faults": [fault], "flags": ["odd"], "badge": None}
            )

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    board.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield board
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, code: int, value: Any, **headers: str) -> bool:
    data = json.dumps(value).encode()
    handler.send_response(code)
    for name, text in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.end_headers()
    handler.wfile.write(data)
    return True


def hang_up(handler: BaseHTTPRequestHandler) -> bool:
    handler.connection.close()
    return True


def take_and_hang_up(handler: BaseHTTPRequestHandler) -> bool:
    """The body arrives, the reply does not."""
    handler.rfile.read(int(handler.headers["Content-Length"]))
    return hang_up(handler)


def test_a_bundle_is_sent_whole_and_once(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with serving() as board:
        sent = submit(path, board.url, Token(SECRET), QUICK)
        assert submit(path, board.url, Token(SECRET), QUICK) == sent
        assert (sent.id, sent.state, sent.url) == (f"s-{digest[:12]}", "received", f"{board.url}/s/{digest[:12]}")
        assert board.held == {digest: path.read_bytes()}
    headers = board.seen[0]
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Idempotency-Key"] == digest
    assert headers["Content-Type"] == "application/zip"
    assert "Transfer-Encoding" not in headers


def test_a_lost_connection_is_tried_again(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    with serving() as board:
        board.behave = [hang_up, take_and_hang_up]
        assert submit(path, board.url, Token(SECRET), QUICK).state == "received"
        assert len(board.seen) == 3
        assert len(board.held) == 1
        board.behave = [lambda handler: reply(handler, 503, {}, Retry_After="0")]
        assert submit(path, board.url, Token(SECRET), QUICK).state == "received"
        board.behave = [hang_up] * 3
        with pytest.raises(UserError, match="same command again, it is safe"):
            submit(path, board.url, Token(SECRET), QUICK)


@pytest.mark.parametrize(
    ("code", "says"),
    [(401, "ask for another"), (403, "one that may"), (413, "too large; make it smaller"), (302, "http_302")],
)
def test_a_refusal_is_told_and_not_tried_again(tmp_path: Path, code: int, says: str) -> None:
    error = {"error": {"message": "too large", "mend": "make it smaller"}}
    with serving() as board:
        board.behave = [lambda handler: reply(handler, code, error, Location=board.url + "/else")]
        with pytest.raises(UserError, match=says) as caught:
            submit(make_bundle(tmp_path), board.url, Token(SECRET), QUICK)
        assert len(board.seen) == 1
        assert not board.held
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [[], {}, {"id": 3, "state": "received"}, "x", {"id": "a"}])
def test_another_kind_of_server_is_told(tmp_path: Path, value: Any) -> None:
    with serving() as board:
        board.behave = [lambda handler: reply(handler, 200, value)]
        with pytest.raises(UserError, match="as a leaderboard does"):
            submit(make_bundle(tmp_path), board.url, Token(SECRET), QUICK)


def test_addresses_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    for url, says in {
        "http://example.org": "not encrypted",
        "http://127.0.0.1.example.org": "not encrypted",
        "https://user:pw@example.org": "credentials",
        "ftp://example.org": "no http",
    }.items():
        with pytest.raises(UsageError, match=says):
            submit(path, url, Token(SECRET), QUICK)
    with pytest.raises(UsageError, match="--token-file"):
        submit(path, "https://example.org", None, QUICK)
    with pytest.raises(UsageError, match="no folder"):
        submit(path, str(tmp_path / "none"))
    with pytest.raises(UsageError, match="neither"):
        status("../../etc", "https://example.org")


def test_a_bad_bundle_never_leaves(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    path.write_bytes(path.read_bytes() + b"x")
    with serving() as board, pytest.raises(BundleError):
        submit(path, board.url, Token(SECRET), QUICK)
    assert not board.seen


def test_the_token_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    token = read_token(file)
    assert (token.value, token.warning) == (SECRET, "")
    assert SECRET not in repr(token)
    file.chmod(0o644)
    assert "chmod 600" in read_token(file).warning
    for text in ("", "two words in it", "short", "x" * 600, "é" * 20):
        file.write_text(text)
        with pytest.raises(UserError, match="does not hold a token") as caught:
            read_token(file)
        assert not text or text not in str(caught.value)
    with pytest.raises(UserError, match="cannot be read"):
        read_token(tmp_path / "none")


def test_a_results_folder_takes_a_file_by_name_and_hash(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "mine", name="../../Evil <svg> NAME")
    results = tmp_path / "results"
    results.mkdir()
    sent = submit(path, str(results))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert [file.relative_to(results) for file in results.rglob("*.zip")] == [Path(f"evil-svg-name/{digest}.zip")]
    assert submit(path, str(results)) == sent == status(str(path), str(results)) == status(digest, str(results))
    with pytest.raises(UserError, match="no submission"):
        status("0" * 12, str(results))


def test_the_commands(tmp_path: Path) -> None:
    path, file = make_bundle(tmp_path), tmp_path / "token"
    file.write_text(SECRET)
    file.chmod(0o640)
    run = CliRunner()
    with serving() as board:
        sent = run.invoke(submit_command, [str(path), "--to", board.url, "--token-file", str(file)])
        assert sent.exit_code == 0, sent.output
        assert ": received, http" in sent.output
        assert "chmod 600" in sent.output
        assert SECRET not in sent.output
        told = run.invoke(status_command, [str(path), "--at", board.url], standalone_mode=False)
        assert told.return_value == 1
        assert "refused" in told.output
        assert "wrong: tgit/crop: is wrong?[2J; mend it" in told.output
        with pytest.raises(UserError, match="no such submission"):
            status("s-abcdef", board.url, None, QUICK)
    with pytest.raises(UserError, match="was not submitted to"):
        status(str(path), "https://example.org", None, QUICK)


def test_a_store_takes_it_without_a_server(tmp_path: Path) -> None:
    pytest.importorskip("alembic")
    from leaderboard.store import Store

    path, folder = make_bundle(tmp_path), tmp_path / "store"
    with Store.open(folder):
        pass
    sent = submit(path, str(folder))
    assert sent.state == "received"
    assert submit(path, str(folder)) == sent == status(str(path), str(folder)) == status(sent.id, str(folder))
    with Store.open(folder) as store:
        assert store.claim(sent.id) is not None
        store.refuse(sent.id, [Fault("tgit/crop", "is wrong", "mend it")])
    found = status(sent.id, str(folder))
    assert (found.state, found.faults) == ("refused", (Fault("tgit/crop", "is wrong", "mend it"),))
    with pytest.raises(UserError, match="no submission s-none; `fuselip-leaderboard submit`"):
        status("s-none", str(folder))


def test_the_commands_on_a_store(tmp_path: Path) -> None:
    pytest.importorskip("alembic")
    from leaderboard.store import About, Store
    from leaderboard.types import Badge

    path, folder, run = make_bundle(tmp_path), tmp_path / "store", CliRunner()
    with Store.open(folder):
        pass
    sent = run.invoke(submit_command, [str(path), "--to", str(folder)])
    assert sent.exit_code == 0, sent.output
    assert f"fuselip-leaderboard add {path} --store {folder}" in sent.output
    at = ["--at", str(folder)]
    told = run.invoke(status_command, [str(path), *at], standalone_mode=False)
    assert (told.return_value, ": received\n" in told.output, "ask again" in told.output) == (0, True, True)
    with Store.open(folder) as store:
        (held,) = store.submissions()
        assert store.claim(held.id) is not None
        store.accept(held.id, {}, Badge.CONSISTENT, ["odd"], about=About({"name": "x"}))
    for name in (held.id, held.sha256, str(path)):
        told = run.invoke(status_command, [name, *at], standalone_mode=False)
        assert (told.return_value, told.output) == (0, f"{held.id}: accepted, badge consistent\nflag: odd\n")
