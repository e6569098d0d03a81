"""The journal: whatever a kill leaves of it is read up to the last whole line."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.vqa.journal import Journal
from datagen.vqa.types import Failed, Row, Said
from fuselip.core.errors import UserError

ROWS = [Row.of(f"{number}.jpg", "ab" * 32, f"caption {number}", 0, {"model": "m"}) for number in range(6)]


def outcome(number: int) -> Said | Failed:
    return Failed("timeout", "späť") if number % 3 == 2 else Said(f"Ä {number}\n", kind="count")


def fill(path: Path) -> bytes:
    with Journal(path) as journal:
        for number, row in enumerate(ROWS):
            journal.append(row, outcome(number))
    return path.read_bytes()


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    fill(tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        assert journal.find(ROWS[1]) == Said("Ä 1\n", kind="count")
        assert journal.find(ROWS[2]) == Failed("timeout", "späť")
        assert journal.find(Row.of("1.jpg", "ab" * 32, "caption 1", 1, {"model": "m"})) is None
        journal.append(ROWS[2], Said("x" * 9000))
        assert journal.find(ROWS[2]) == Said("x" * 9000)
        assert (journal.tries(ROWS[2]), journal.tries(ROWS[1]), journal.damaged) == (2, 1, 0)
    with Journal(tmp_path / "j") as journal:
        assert journal.find(ROWS[2]) == Said("x" * 9000)


def test_a_row_is_another_with_another_setting() -> None:
    row = Row.of("k", "ab", "caption", 0, {"temperature": 1.0})
    assert row.hash == Row.of("other name", "ab", "caption", 0, {"temperature": 1.0}).hash
    others = [Row.of("k", "ab", "caption", 0, {"temperature": 0.5}), Row.of("k", "ab", "captions", 0, {})]
    others += [Row.of("k", "abc", "caption", 0, {"temperature": 1.0}), Row.of("k", "ab", "caption", 1, {})]
    assert len({row.hash, *(other.hash for other in others)}) == 5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2000))
def test_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "j"
    whole = fill(path)
    kept = whole[: at % (len(whole) + 1)]
    path.write_bytes(kept)
    lines = kept.count(b"\n")
    with Journal(path) as journal:
        assert [journal.tries(row) for row in ROWS] == [1] * lines + [0] * (len(ROWS) - lines)
        for number in range(lines, len(ROWS)):
            journal.append(ROWS[number], outcome(number))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("junk", [b"\x00" * 50, b"{}", b'{"row": "ab", "text": "x"}', b"[" * 5000, b"\xff\xfe"])
def test_damaged_lines_are_counted_and_their_rows_asked_again(junk: bytes, tmp_path: Path) -> None:
    lines = fill(tmp_path / "j").splitlines(keepends=True)
    (tmp_path / "j").write_bytes(b"".join([*lines[:2], junk + b"\n", *lines[3:]]))
    with Journal(tmp_path / "j") as journal:
        assert journal.damaged == 1
        assert [journal.tries(row) for row in ROWS] == [1, 1, 0, 1, 1, 1]
        assert journal.find(ROWS[5]) == Failed("timeout", "späť")


def test_many_threads(tmp_path: Path) -> None:
    rows = [Row.of(str(number), "ab", f"c{number}", 0, {}) for number in range(400)]
    with Journal(tmp_path / "j") as journal:
        threads = [
            threading.Thread(target=lambda part=part: [journal.append(row, Said(row.caption)) for row in rows[part::8]])
            for part in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Journal(tmp_path / "j") as journal:
        assert [journal.find(row) for row in rows] == [Said(row.caption) for row in rows]


def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fill(tmp_path / "j")
    monkeypatch.setattr("datagen.vqa.journal.SYNC_SECONDS", -1.0)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with Journal(tmp_path / "j") as journal:
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(UserError, match="no space left on the disk"):
                journal.append(ROWS[0], Said("lost"))
        assert journal.find(ROWS[0]) == Said("Ä 0\n", kind="count")
    assert (tmp_path / "j").read_bytes() == before
