"""The index of file hashes: what it saves, and that it never gives a wrong one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fuselip.core import source_index
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef
from tests.core.pictures import save
from tests.datagen.synthetic import synthetic


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are hashed from here on, with an index of the test's own."""
    monkeypatch.setenv("FUSELIP_CACHE", str(tmp_path / "cache"))
    calls: list[Path] = []
    real = source_index.sha256_file
    monkeypatch.setattr(source_index, "sha256_file", lambda path: calls.append(path) or real(path))
    return calls


def old(path: Path, seconds: float = 100) -> Path:
    stamp = time.time() - seconds
    os.utime(path, (stamp, stamp))
    return path


def test_unchanged_file_is_not_hashed_again(tmp_path: Path, hashed: list[Path]) -> None:
    path = old(save(tmp_path / "a.png"))
    first = ImageRef.from_file(path)
    assert ImageRef.from_file(path) == first
    assert hashed == [path]
    old(save(path, synthetic().rotate(10)), 50)
    assert ImageRef.from_file(path) != first
    assert hashed == [path, path]
    assert ImageRef.from_file(Path(os.path.relpath(path))) != first  # the same file by another name of it
    assert len(hashed) == 2


def test_file_written_just_now_is_hashed_each_time(tmp_path: Path, hashed: list[Path]) -> None:
    """Its clock may not have moved on by the next write."""
    path = save(tmp_path / "a.png")
    ImageRef.from_file(path)
    ImageRef.from_file(path)
    assert hashed == [path, path]


def test_stale_entry_is_noticed_and_forgotten(tmp_path: Path, hashed: list[Path]) -> None:
    """The same size and time with other bytes: an error once, and the right hash from then on."""
    path = tmp_path / "a.bmp"
    stamp = old(save(path, kind="BMP")).stat().st_mtime_ns
    ImageRef.from_file(path)
    save(path, synthetic().rotate(10), "BMP")
    os.utime(path, ns=(stamp, stamp))
    with pytest.raises(UserError, match="has changed since it was listed; run the command again"):
        ImageRef.from_file(path).load()
    assert np.array_equal(np.asarray(ImageRef.from_file(path).load()), np.asarray(synthetic().rotate(10)))


def test_damaged_index_only_costs_time(tmp_path: Path, hashed: list[Path]) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "sources.sqlite").write_bytes(b"this is no data base" * 100)
    path = old(save(tmp_path / "a.png"))
    assert ImageRef.from_file(path) == ImageRef.from_file(path)
    assert hashed == [path, path]


def test_index_that_cannot_be_written_only_costs_time(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FUSELIP_CACHE", str(tmp_path / "file" / "cache"))
    path = old(save(tmp_path / "a.png"))
    assert ImageRef.from_file(path) == ImageRef.from_file(path)
    assert len(hashed) == 2


def test_name_that_is_no_utf_8(tmp_path: Path, hashed: list[Path]) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        old(save(path))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert ImageRef.from_file(path) == ImageRef.from_file(path)
    assert len(hashed) == 1


def test_index_is_shared_by_processes(tmp_path: Path, hashed: list[Path]) -> None:
    path = old(save(tmp_path / "a.png"))
    code = (
        "import sys, pathlib, fuselip.core.types as types\n"
        "print(types.ImageRef.from_file(pathlib.Path(sys.argv[1])).key)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert ImageRef.from_file(path).key == told.strip()
    assert hashed == []
