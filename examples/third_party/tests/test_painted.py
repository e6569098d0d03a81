"""The task is fair: who knows nothing is at chance, who knows all is at 1, and words alone do not answer it."""

from colour_words.painted import ROWS, load

from benchmarks.testing import check_task


def test_painted() -> None:
    [spec] = ROWS
    assert [str(finding) for finding in check_task(spec) if finding.status != "ok"] == []
    assert load is not None
