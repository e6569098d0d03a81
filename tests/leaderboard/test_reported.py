"""Reported rows: the figures that were printed, marked as what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.published import COLUMNS
from leaderboard.reported import paper


def test_every_printed_figure_is_there_and_none_of_ours() -> None:
    found = paper()
    assert len(found.rows) == 12
    assert [task.name for task in found.tasks] == found.family.tasks == [f"paper/{key}" for key in COLUMNS]
    assert not any(task.counted for task in found.tasks)
    for row in found.rows:
        assert (row.badge, row.comparable) == ("reported", False)
        assert "2506.03096" in row.source
        assert row.average is row.rank is row.partial is None
        assert set(row.scores) == set(found.family.tasks)
        assert all(score.low is score.high is score.chance is None for score in row.scores.values())
    assert len({row.id for row in found.rows}) == 12


def test_a_figure_by_hand() -> None:
    row = next(row for row in paper().rows if row.id == "paper-fuselip-b-cc12m-mm")
    assert row.scores["paper/tgit"].value == 0.942
    assert (row.name, row.dimension, row.embedding_bytes) == ("FuseLIP-B", 512, 2048)


def test_figures_agree_with_the_published_table(shared: Path) -> None:
    table = json.loads((shared / "reference/published_results.json").read_text())
    rows = {(row.name, row.training_data.replace(" ", "")): row for row in paper().rows}
    assert len(table["rows"]) == len(rows)
    for printed in table["rows"]:
        row = rows[printed["model"], printed["training_data"]]
        for column in table["columns"]:
            assert row.scores[f"paper/{column}"].value == pytest.approx(printed[column] / 100)
