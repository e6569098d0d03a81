"""What lies in submissions/ is taken in by today's code, and gives the board that it is there for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("jinja2")

from click.testing import CliRunner

from leaderboard.cli import main

SUBMISSIONS = Path(__file__).parents[2] / "submissions"


@pytest.mark.slow
def test_our_own_bundles_are_accepted_and_ranked(tmp_path: Path) -> None:
    store, site = str(tmp_path / "store"), tmp_path / "site"
    taken = CliRunner().invoke(main, ["add", "--results", str(SUBMISSIONS), "--store", store])
    assert taken.exit_code == 0, taken.output
    assert taken.output.count("accepted (consistent)") == len(list(SUBMISSIONS.rglob("*.zip")))
    made = CliRunner().invoke(main, ["build", "--store", store, "--out", str(site), "--no-questions"])
    assert made.exit_code == 0, made.output
    rows = json.loads((site / "download" / "leaderboard.json").read_text())["rows"]
    ours = {row["name"]: row for row in rows if row["badge"] == "consistent"}
    assert ours["fuselip-ti"]["rank"]["best"] == 1
    assert ours["fuselip-ti"]["average"]["value"] > ours["siglip-ti-sf"]["average"]["value"] + 0.1
    assert sum(row["badge"] == "reported" for row in rows) == 12
