"""The drill-down between builds: kept while rows stay, anew where they change, in bits of time; and challenges told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from lb_board import small
from lb_bundles import TASKS, make_bundle

from leaderboard.add_command import add
from leaderboard.answers import Book
from leaderboard.site import build
from leaderboard.site.drill import Drill
from leaderboard.site.sources import challenge_log, composed, disagreements
from leaderboard.store import Store


@pytest.mark.slow
def test_questions_are_looked_at_anew_only_where_rows_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(tmp_path / "store") as store:
        book = Book(tmp_path / "answers")
        ids = [add(store, make_bundle(tmp_path, f"E{seed}", 0.5, seed), book).id for seed in range(2)]
        board = composed(store)
        drill = Drill(store, tmp_path / "answers", None, tmp_path / "kept")
        assert (list(drill.questions(board, 0.0)), drill.behind) == ([], True)
        fresh = list(drill.questions(board, 600.0))
        assert ([task.name for task in fresh], drill.behind) == (sorted(TASKS), False)
        assert fresh == list(disagreements(store, board, book))
        assert fresh[0].pictures

        with monkeypatch.context() as patch:
            patch.setattr(Store, "bundle_path", lambda *_: 1 / 0)  # nothing is opened again
            assert list(drill.questions(board, 600.0)) == fresh
        damaged = next((tmp_path / "kept").iterdir())
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
        assert (len(list(drill.questions(board, 0.0))), drill.behind) == (1, True)
        assert list(drill.questions(board, 600.0)) == fresh

        store.withdraw(ids[0])
        assert list(drill.questions(composed(store), 600.0)) == []
        assert list((tmp_path / "kept").iterdir()) == []


def _outcome(same_encoder: bool | None) -> dict[str, Any]:
    side, gap = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}, {"value": 0.1, "low": -0.1, "high": 0.3}
    asked = {"metric": "hit@1", "raw": 0.5, "chance": 0.1, "challenge": side}
    return {
        "tasks": [
            {"task": "scenes/one", **asked, "public": side, "gap": gap, "p": 0.034},
            {"task": "scenes/two", **asked, "public": None, "gap": None, "p": None},
        ],
        "sentence": "The whole <story>.",
        "credible": True,
        "same_encoder": same_encoder,
    }


@pytest.mark.parametrize("same", [True, None])
def test_a_challenge_is_told_task_by_task_on_its_encoders_page_alone(tmp_path: Path, same: bool | None) -> None:
    board = small()
    one, other = [row.id for row in board.rows if row.comparable][:2]
    told = {"id": "c" * 32, "created": "2026-01-01T00:00:00", "expires": "2026-01-02", "state": "scored", "seed": None}
    build(board, tmp_path / "site", (), [{**told, "used_by": one, "outcome": _outcome(same)}])
    page = (tmp_path / "site/encoder" / f"{one}.html").read_text()
    assert ("Fresh questions agree." in page) is (same is None)
    assert "The whole &lt;story&gt;." in page
    assert "<td>+10.0</td><td>−10.0 to +30.0</td><td>0.034</td>" in page
    assert "scenes/two" in page
    assert "task by task" not in (tmp_path / "site/encoder" / f"{other}.html").read_text()


def test_the_log_tells_outcomes_and_keeps_open_seeds(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        for id, expires in (("c-open", "2999"), ("c-over", "2001")):
            store.challenge_add(id, f"seed of {id}", [], f"{expires}-01-01T00:00:00.000000+00:00")
        assert [(each["seed"], each["outcome"]) for each in challenge_log(store)] == [
            (None, None),
            ("seed of c-over", None),
        ]
