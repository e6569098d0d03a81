"""The encoder keeps the contract that scoring relies on."""

from colour_words import ColourWords

from benchmarks.testing import check


def test_contract() -> None:
    assert [str(finding) for finding in check(ColourWords()) if finding.status != "ok"] == []
