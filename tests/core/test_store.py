"""The embedding store keeps whole batches through torn writes, damage and neighbours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fuselip.core import store as module
from fuselip.core.errors import UserError
from fuselip.core.store import EmbeddingStore, prune, shared_store, usage


def block(seed: int, rows: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 4)).astype(np.float32)


def fill(folder: Path, count: int) -> None:
    with EmbeddingStore(folder, {"encoder": "x"}) as store:
        for number in range(count):
            store.put(f"batch{number}", block(number), seconds=0.5)


def test_round_trip_over_sessions(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with EmbeddingStore(tmp_path, {}) as store:
        assert len(store) == 3
        assert all(np.array_equal(store.get(f"batch{n}"), block(n)) for n in range(3))
        assert store.seconds("batch1") == 0.5
        assert store.get("other") is None


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_torn_index_line_is_forgotten_and_appending_goes_on(tmp_path: Path, cut: int) -> None:
    fill(tmp_path, 2)
    index = tmp_path / "index.jsonl"
    os.truncate(index, index.stat().st_size - cut)
    with EmbeddingStore(tmp_path, {}) as store:
        assert "batch0" in store
        assert "batch1" not in store
        store.put("batch1", block(1), 1.0)
    with EmbeddingStore(tmp_path, {}) as store:
        assert np.array_equal(store.get("batch1"), block(1))


def test_rows_without_index_line_do_no_harm(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with open(tmp_path / "vectors.bin", "ab") as stream:
        stream.write(b"half a row")
    with EmbeddingStore(tmp_path, {}) as store:
        store.put("batch1", block(1), 1.0)
        assert np.array_equal(store.get("batch1"), block(1))
        assert np.array_equal(store.get("batch0"), block(0))


def test_changed_bytes_are_noticed(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    data = bytearray((tmp_path / "vectors.bin").read_bytes())
    data[5] ^= 1
    (tmp_path / "vectors.bin").write_bytes(data)
    with EmbeddingStore(tmp_path, {}) as store:
        assert store.get("batch0") is None


def test_index_that_is_not_ours_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    (tmp_path / "index.jsonl").write_text('{"batch": 1, "surprise": true}\n')
    with pytest.raises(UserError, match="damaged"), EmbeddingStore(tmp_path, {}):
        pass


WRITER = """
import sys
from pathlib import Path
import numpy as np
from fuselip.core.store import EmbeddingStore
with EmbeddingStore(Path(sys.argv[1]), {}) as store:
    for n in range(40):
        store.put(f"{sys.argv[2]}-{n}", np.full((2, 3), hash((sys.argv[2], n)) % 97, np.float32), 0.0)
"""


def test_two_processes_append_to_one_store(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], env=environment) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    with EmbeddingStore(tmp_path, {}) as store:
        assert len(store) == 80
        for name in "ab":
            for n in range(40):
                vectors = store.get(f"{name}-{n}")
                assert vectors is not None
                assert vectors.shape == (2, 3)
                assert (vectors == vectors[0, 0]).all()


def test_full_disk_is_said_and_leaves_the_store_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with EmbeddingStore(tmp_path, {}) as store:
        monkeypatch.setattr(module.os, "fsync", full)
        with pytest.raises(UserError, match="no space left"):
            store.put("batch1", block(1), 1.0)
        monkeypatch.undo()
        store.put("batch1", block(1), 1.0)
    with EmbeddingStore(tmp_path, {}) as store:
        assert np.array_equal(store.get("batch1"), block(1))


def test_prune_takes_the_oldest_and_spares_those_in_use(tmp_path: Path) -> None:
    for age, name in enumerate(("old", "middle", "new")):
        with shared_store(tmp_path, name, {}) as store:
            store.put("b", block(age, rows=1000), 0.0)
            folder = store.folder
        os.utime(folder, (age, age))
    sizes = {folder: size for folder, size, _ in usage(tmp_path)}
    with shared_store(tmp_path, "old", {}):
        os.utime(usage(tmp_path)[-1][0], (0, 0))  # opening touched it; make it the oldest again
        deleted = prune(tmp_path, max_bytes=2 * max(sizes.values()))
        assert len(deleted) == 1
        assert len(usage(tmp_path)) == 2
    with shared_store(tmp_path, "old", {}) as store:
        assert store.get("b") is not None
    assert len(prune(tmp_path, 0)) == 2
