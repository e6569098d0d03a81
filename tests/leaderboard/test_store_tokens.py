"""Tokens: hashed, scoped, expiring, revocable, and their use is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from click.testing import CliRunner
from sqlalchemy import text

from fuselip.core.errors import UsageError
from leaderboard.store import Store, TokenError
from leaderboard.token_command import command


def test_a_token_opens_what_it_may(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        key, token = store.token_create(["submit"], 1, "lab")
        assert store.token_check(key, "submit").id == token.id
        assert store.tokens()[0].used is not None
        assert _reason(store, key, "admin") == "scope"
        admin, _ = store.token_create(["admin"], 1)
        assert store.token_check(admin, "submit")
        store.token_revoke(token.id)
        assert _reason(store, key, "submit") == "revoked"
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE tokens SET expires = '2001'"))
        assert _reason(store, admin, "submit") == "expired"
        assert [event.action for event in store.events(token.id)] == ["token created", "token revoked"]


@pytest.mark.parametrize(
    "change", ["", "x", "fuselip__", "fuselip_' OR 1=1 --_x", "fuselip_{id}_", "fuselip_{id}_\ud800"]
)
def test_what_is_no_token_opens_nothing(tmp_path: Path, change: str) -> None:
    with Store.open(tmp_path) as store:
        key, token = store.token_create(["admin"], 1)
        assert _reason(store, change.format(id=token.id), "read") == "unknown"
        assert _reason(store, key[:-1], "read") == "unknown"


def test_the_secret_is_nowhere_on_disk(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        key, token = store.token_create(["admin"], 1)
        store.token_check(key, "read")
        secret = key.rpartition("_")[2] if key.count("_") == 2 else key.split("_", 2)[2]
        held = b"".join(path.read_bytes() for path in tmp_path.glob("leaderboard.db*"))
    assert token.hash.encode() in held
    assert secret.encode() not in held


@pytest.mark.parametrize(
    ("scopes", "days", "label"), [([], 1, ""), (["root"], 1, ""), (["read"], 0, ""), (["read"], 1, "\n")]
)
def test_wrong_tokens_are_not_made(tmp_path: Path, scopes: list[str], days: float, label: str) -> None:
    with Store.open(tmp_path) as store:
        with pytest.raises(UsageError):
            store.token_create(scopes, days, label)
        assert store.tokens() == []


def test_the_commands(tmp_path: Path) -> None:
    where = ["--store", str(tmp_path / "store")]
    made = CliRunner().invoke(command, ["create", *where, "--scopes", "submit, read", "--label", "a lab"])
    key = made.stdout.strip()
    with Store.open(tmp_path / "store") as store:
        id = store.token_check(key, "read").id
    listed = CliRunner().invoke(command, ["list", *where]).output
    assert id in listed
    assert "submit, read" in listed
    assert key.split("_", 2)[2] not in listed
    assert "revoked" in CliRunner().invoke(command, ["revoke", *where, id]).output
    file = tmp_path / "token"
    told = CliRunner().invoke(command, ["create", *where, "--out", str(file)])
    assert (told.exit_code, told.stdout, file.stat().st_mode & 0o777) == (0, "", 0o600)
    with Store.open(tmp_path / "store") as store:
        assert store.token_check(file.read_text().strip(), "submit").id in told.stderr
    assert CliRunner().invoke(command, ["create", *where, "--out", str(file)]).exit_code != 0
    assert '"revoked": "2' in CliRunner().invoke(command, ["list", *where, "--json"]).output
    with Store.open(tmp_path / "store") as store:
        assert _reason(store, key, "read") == "revoked"


def _reason(store: Store, key: str, scope: str) -> str:
    with pytest.raises(TokenError) as caught:
        store.token_check(key, scope)
    return caught.value.reason
