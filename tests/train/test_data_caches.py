"""The caches of codes and pixels: nothing torn, nothing wrong, several processes, kill -9, damage, other tokenizers."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fuselip.core.errors import UserError
from fuselip.model.models import MODELS
from fuselip.train.batch import Batch
from fuselip.train.data import DataConfig, Part, batches
from fuselip.train.data.rows import RowCache

MODEL = MODELS["fuselip-ti"].config
SCENES = "datagen.training:scenes"
PARTS = (
    Part(SCENES, 1.0, {"kind": "crop", "size": 64, "count": 3}),
    Part(SCENES, 1.0, {"kind": "captions", "size": 64, "count": 9}),
)


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def row(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 2000, 16, dtype=np.int32)


def cache(folder: Path, tokenizer: str = "a") -> RowCache:
    return RowCache(folder, {"tokenizer": tokenizer}, (16,), "int32")


def holds(found: RowCache, numbers: list[int]) -> None:
    rows, here = found.get([key(number) for number in numbers])
    assert here.all()
    assert np.array_equal(rows, np.stack([row(number) for number in numbers]))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), max_size=9), max_size=9))
def test_what_is_put_is_got(tmp_path_factory: pytest.TempPathFactory, batches_: list[list[int]]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    one, other = cache(folder), cache(folder)
    for numbers in batches_:
        one.put([key(number) for number in numbers], np.array([row(number) for number in numbers]).reshape(-1, 16))
    other.refresh()
    numbers = sorted({number for part in batches_ for number in part})
    for found in (one, other, cache(folder)):
        if numbers:
            holds(found, numbers)
        assert not found.get([key(99), key(100)])[1].any()


def test_many_rows_are_sorted_in(tmp_path: Path) -> None:
    found = cache(tmp_path)
    for first in range(0, 6000, 1500):
        numbers = range(first, first + 1500)
        found.put([key(number) for number in numbers], np.stack([row(number) for number in numbers]))
    holds(found, [0, 1, 1499, 1500, 4095, 4096, 5999])
    assert len(found) == len(cache(tmp_path)) == 6000


def test_a_torn_tail_is_cut_off(tmp_path: Path) -> None:
    cache(tmp_path).put([key(1), key(2)], np.stack([row(1), row(2)]))
    for name in ("rows.bin", "index.bin"):
        with open(tmp_path / name, "ab") as stream:
            stream.write(b"torn")
    found = cache(tmp_path)
    holds(found, [1, 2])
    found.put([key(3)], row(3)[None])
    holds(cache(tmp_path), [1, 2, 3])


def test_a_damaged_row_is_missing_and_made_again(tmp_path: Path) -> None:
    cache(tmp_path).put([key(1), key(2)], np.stack([row(1), row(2)]))
    data = bytearray((tmp_path / "rows.bin").read_bytes())
    data[3] ^= 1
    (tmp_path / "rows.bin").write_bytes(data)
    found = cache(tmp_path)
    assert found.get([key(1), key(2)])[1].tolist() == [False, True]
    found.put([key(1)], row(1)[None])
    holds(found, [1, 2])
    holds(cache(tmp_path), [1, 2])


def test_rows_that_are_gone_are_missing(tmp_path: Path) -> None:
    cache(tmp_path).put([key(1), key(2)], np.stack([row(1), row(2)]))
    (tmp_path / "rows.bin").write_bytes(b"")
    assert not cache(tmp_path).get([key(1), key(2)])[1].any()


def test_a_damaged_index_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    cache(tmp_path).put([key(1)], row(1)[None])
    data = bytearray((tmp_path / "index.bin").read_bytes())
    data[33] ^= 1
    (tmp_path / "index.bin").write_bytes(data)
    with pytest.raises(UserError, match=r"index.bin is damaged; delete the folder"):
        cache(tmp_path)


def test_a_cache_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    cache(tmp_path)
    with pytest.raises(UserError, match="tokenizer: 'a' there, 'b' here"):
        cache(tmp_path, "b")


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
import test_data_caches as t
found = t.cache(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    found.put([t.key(number)], t.row(number)[None])
    print(number, flush=True)
"""


@pytest.mark.slow
def test_writers_may_be_many_and_may_be_killed(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(start), here], stdout=subprocess.PIPE, text=True) for start in (0, 10**6)
    ]
    for process in running:
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
    time.sleep(0.05)
    done: list[int] = []
    for process in running:
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        done += [int(line) for line in rest.splitlines()[:-1]]
    assert len(done) > 2
    holds(cache(tmp_path), [*range(30), *range(10**6, 10**6 + 30), *done])


class Means:
    """A tokenizer of 4 codes: mean gray levels of the quarters. Counts what it is given."""

    fingerprint, num_tokens = "means", 4

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.seen += len(pixels)
        half = pixels.shape[1] // 2
        quarters = [pixels[:, y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
        return np.stack([quarter.mean(axis=(1, 2, 3)).astype(np.int64) for quarter in quarters], axis=1)


def found(data: DataConfig, tokenizer: Means | None, count: int = 6) -> list[Batch]:
    stream = batches(data, model_config=MODEL, batch_size=12, seed=0, tokenizer=tokenizer)
    return [batch for batch, _ in islice(stream, count)]


def test_cached_codes_are_the_tokenizers_and_made_once(tmp_path: Path) -> None:
    plain = found(DataConfig(PARTS, draws=1), None)
    data = DataConfig(PARTS, draws=1, tokens=str(tmp_path))
    first, second = Means(), Means()
    for tokenizer in (first, second):
        for batch, other in zip(found(data, tokenizer), plain, strict=True):
            assert batch.right_keys == other.right_keys
            for side, same in ((batch.left, other.left), (batch.right, other.right)):
                assert torch.equal(side.image_rows, same.image_rows)
                assert side.pixels is None
                assert same.pixels is not None
                if len(same.pixels):
                    assert torch.equal(side.codes, torch.from_numpy(Means()(same.pixels.numpy())))  # type: ignore[arg-type]
                else:
                    assert side.codes is not None
                    assert side.codes.shape == (0, 4)
    distinct = {
        bytes(image.numpy())
        for batch in plain
        for side in (batch.left, batch.right)
        for image in side.pixels  # type: ignore[union-attr]
    }
    assert first.seen <= len(distinct) + 3  # equal pixels may have several recipes
    assert second.seen == 0


def test_cached_pixels_are_the_same(tmp_path: Path) -> None:
    plain = found(DataConfig(PARTS), None)
    for _ in range(2):
        for batch, other in zip(found(DataConfig(PARTS, pixels=str(tmp_path)), None), plain, strict=True):
            assert torch.equal(batch.left.pixels, other.left.pixels)  # type: ignore[arg-type]
            assert torch.equal(batch.right.pixels, other.right.pixels)  # type: ignore[arg-type]
    assert len(list(tmp_path.glob("pixels-64/rows.bin"))) == 1


def test_a_tokenizer_that_gives_something_else_is_named(tmp_path: Path) -> None:
    class Wrong(Means):
        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            return super().__call__(pixels)[:, :3]

    with pytest.raises(UserError, match="image tokenizer gave codes of shape"):
        found(DataConfig(PARTS, tokens=str(tmp_path)), Wrong())
