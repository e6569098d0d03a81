"""The commands on real bundles: add, export, import, backup and migrate, as a maintainer without a server uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from click.testing import CliRunner, Result
from lb_bundles import TASKS, make_bundle

from leaderboard.cli import main
from leaderboard.store import Store


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(part) for part in arguments])


@pytest.mark.slow
def test_a_maintainer_without_a_server(tmp_path: Path) -> None:
    store, good = tmp_path / "store", make_bundle(tmp_path / "results")
    (tmp_path / "results/broken.zip").write_bytes(b"PK but no zip")
    added = _run("add", good, "--store", store)
    assert (added.exit_code, "accepted (consistent)" in added.output) == (0, True), added.output
    again = _run("add", "--results", tmp_path / "results", "--store", store)
    assert (again.exit_code, again.output.count("accepted"), again.output.count("refused")) == (1, 1, 1), again.output
    assert _run("add", "--store", store).exit_code == 2
    with Store.open(store) as opened:
        (row,) = opened.rows()
        assert (row.metadata["name"], {told.task for told in row.scores}) == ("Tuned", set(TASKS))
        assert row.scores[0].numbers["metrics"]
        assert opened.units()[TASKS[0]].values[row.id].mean() == pytest.approx(
            next(told.numbers["value"] for told in row.scores if told.task == TASKS[0])
        )
    assert "audit log whole" in _run("export", "--store", store, "--out", tmp_path / "out").output
    assert "2 bundles" in _run("import", tmp_path / "out", "--store", tmp_path / "new").output
    assert "2 bundles" in _run("backup", "--store", tmp_path / "new", "--out", tmp_path / "copy").output
    assert _run("export", "--store", store, "--out", tmp_path / "out").exit_code == 2
    assert "revision 0002; known: 0001, 0002" in _run("migrate", "--store", tmp_path / "copy", "--show").output
    assert "revision 0001, was 0002" in _run("migrate", "--store", tmp_path / "copy", "--to", "0001").output
    refused = _run("token", "list", "--store", tmp_path / "copy")
    assert (refused.exit_code, "fuselip-leaderboard migrate" in refused.output) == (1, True)
    with Store.open(store) as opened:
        before = _refillable(opened, row.id)
        assert all(before)
    brought = _run("migrate", "--store", tmp_path / "copy")
    assert "revision 0002, was 0001\n1 submissions: fingerprints and throughput computed again" in brought.output
    assert _run("migrate", "--store", tmp_path / "copy").output == "revision 0002 already\n"
    with Store.open(tmp_path / "copy") as copy:
        assert [found.id for found in copy.rows()] == [row.id]
        assert _refillable(copy, row.id) == before
        assert copy.verify_journal()[0] == len(copy.events())


def _refillable(store: Store, id: str) -> tuple[Any, Any]:
    (other,) = store.others("nobody")
    return store.submission(id).throughput, dict(other.prints)


@pytest.mark.slow
def test_three_bundles_one_line_each_and_their_pages(tmp_path: Path) -> None:
    bundles = [make_bundle(tmp_path / "bundles", f"E{number}", 0.5, number) for number in range(3)]
    added = _run("add", *bundles, "--store", tmp_path / "store")
    assert added.exit_code == 0, added.output
    assert [line.partition(": ")[0] for line in added.output.splitlines()] == [str(path) for path in bundles]
    assert added.output.count("accepted (consistent)") == 3
    built = _run("build", "--store", tmp_path / "store", "--out", tmp_path / "site", "--suite", "core")
    assert (built.exit_code, ": 3 rows, " in built.output) == (0, True), built.output
    assert "Where encoders disagree" in (tmp_path / "site/task/tgit__crop.html").read_text()
    wrong = _run("build", "--store", tmp_path / "store", "--out", tmp_path / "site", "--suite", "cor")
    assert (wrong.exit_code, "core" in wrong.output) == (2, True), wrong.output
