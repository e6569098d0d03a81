"""Challenges in a real store, by the command line: made, answered, scored, replayed, published, derived again."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from click.testing import CliRunner
from lb_bundles import make_bundle, make_metadata
from lb_challenges import EXAMPLE, my_encoder

from benchmarks.cli import main as bench
from benchmarks.evaluation import evaluate
from fuselip.core.errors import UserError
from leaderboard import bundle
from leaderboard.answers import Book
from leaderboard.challenge import instant
from leaderboard.challenge.kept import Kept
from leaderboard.cli import main
from leaderboard.pack import pack
from leaderboard.store import About, Store
from leaderboard.types import Badge
from leaderboard.verify import verify

TASKS = ("scenes/winoground", "scenes/position")


def _accepted(store: Store, path: Path, cache: Path) -> str:
    id = store.receive(path).id
    assert store.claim(id) is not None
    held = bundle.read(path)
    verdict = verify(held, Book(cache))
    assert verdict.faults == []
    store.accept(id, verdict.scored, Badge.CONSISTENT, about=About.of(held), prints=verdict.prints)
    return id


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    """The example encoder's bundle."""
    run, about, out = tmp_path / "run", tmp_path / "about.json", tmp_path / "honest.zip"
    evaluate(my_encoder(), "core", tasks=TASKS, output=run, cache=False)
    about.write_text(json.dumps(make_metadata("MyEncoder", dimension=448, fusion_policy="unknown")))
    pack(run, about, out)
    return out


def _call(*arguments: Any) -> tuple[int, str]:
    found = CliRunner().invoke(main, ["challenge", *map(str, arguments)])
    return found.exit_code, found.output


def _made(folder: Path, store: Path, name: str) -> tuple[Path, str]:
    path = folder / name
    code, told = _call("new", "--store", store, "--tasks", TASKS[0], "--tasks", TASKS[1], "--out", path)
    assert code == 0, told
    return path, told.partition(":")[0]


def _answered(challenge: Path, submission: str, out: Path) -> Path:
    run = ["run", "--model", f"{EXAMPLE}:MyEncoder", "--challenge", challenge, "--submission", submission]
    found = CliRunner().invoke(bench, [str(part) for part in [*run, "--output", out]])
    assert found.exit_code == 0, found.output
    return out


@pytest.mark.slow
def test_from_nothing_to_a_badge(tmp_path: Path, honest: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        row = _accepted(store, honest, tmp_path / "answers")
        liar = _accepted(store, make_bundle(tmp_path, "Liar", 0.9, tasks=TASKS), tmp_path / "answers")
    challenge, id = _made(tmp_path, folder, "c.zip")
    assert stat.S_IMODE((folder / "challenge.key").stat().st_mode) == 0o600
    code, told = _call("score", _answered(challenge, row, tmp_path / "r.zip"), "--store", folder)
    assert code == 0, told
    assert "Fresh questions agree; the encoder declares no fingerprint" in told
    assert _call("score", tmp_path / "r.zip", "--store", folder)[0] == 1
    with Store.open(folder) as store:
        entries = {entry.id: entry for entry in store.rows()}
        assert (entries[row].badge, entries[liar].badge) == ("challenged", "consistent")
        assert {"public", "challenge", "gap", "low", "high"} < set(entries[row].challenge or {})
        held = Kept(store).challenge(id)
        assert held is not None
        assert held.outcome is not None
        assert (held.used_by, held.outcome["credible"]) == (row, True)
        assert Kept(store).challenge("0" * 32) is None
        assert [event.action for event in store.events(id)] == ["challenge made", "challenge scored"]

    # Answers that were learned by heart are no help on fresh questions.
    second, _ = _made(tmp_path, folder, "d.zip")
    code, told = _call("score", _answered(second, liar, tmp_path / "l.zip"), "--store", folder)
    assert code == 1
    assert "not credible" in told
    with Store.open(folder) as store:
        assert {entry.id: entry.badge for entry in store.rows()}[liar] == "consistent"
    code, told = _call("list", "--store", folder)
    assert [line.split()[1] for line in told.splitlines()] == ["used", "used"]
    assert _call("reveal", id, "--store", folder)[0] == 1

    with Store.open(folder) as store:
        record = Kept(store).challenge(id)
        assert record is not None
    seed = ["--seed", record.seed, "--tasks", TASKS[0], "--tasks", TASKS[1]]
    assert _call("check", challenge, *seed) == (0, "the very bytes\n")
    assert _call("check", second, *seed)[0] == 1
    assert _call("check", challenge)[0] == 2


def test_a_seed_is_published_after_expiry_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from leaderboard import challenge_command

    challenge, id = _made(tmp_path, tmp_path / "store", "c.zip")
    with Store.open(tmp_path / "store") as store:
        record = Kept(store).challenge(id)
    assert record is not None
    later = instant(record.expires) + timedelta(seconds=1)

    class Tomorrow:
        @staticmethod
        def now(_: Any) -> Any:
            return later

    monkeypatch.setattr(challenge_command, "datetime", Tomorrow)
    code, told = _call("reveal", id, "--store", tmp_path / "store")
    assert code == 0
    assert json.loads(told)["seed"] == record.seed
    (tmp_path / "told.json").write_text(told)
    assert _call("check", challenge, "--revealed", tmp_path / "told.json") == (0, "the very bytes\n")


def test_one_key_for_a_store(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        key = Kept(store).challenge_key()
        assert len(key) == 32
        assert Kept(store).challenge_key() == key
        (tmp_path / "store" / "challenge.key").write_bytes(b"short")
        with pytest.raises(UserError, match="32 bytes"):
            Kept(store).challenge_key()
        with pytest.raises(UserError, match="no submission"):
            Kept(store).public("nobody")
