"""Images whose bytes lie in a parquet cell or in memory load as the same file on disk does."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fuselip.core import images, parquet
from fuselip.core.errors import UserError
from fuselip.core.types import EncodedBytes, ImageRef, Operation, ParquetCell
from tests.core.pictures import save

ROW_GROUP = 2


@pytest.fixture
def files(tmp_path: Path) -> list[bytes]:
    """Bytes of five pictures, which also stand in `set.parquet`, two in a row group."""
    paths = [save(tmp_path / f"{number}.jpg", kind="JPEG", quality=50 + number) for number in range(5)]
    data = [path.read_bytes() for path in paths]
    column = pa.array([{"bytes": each, "path": None} for each in data])
    table = pa.table({"image": column, "plain": data, "text": ["a"] * 5})
    pq.write_table(table, tmp_path / "set.parquet", row_group_size=ROW_GROUP, compression="zstd")
    return data


def cell(folder: Path, data: bytes, number: int, column: str = "image.bytes") -> ImageRef:
    place = ParquetCell(str(folder / "set.parquet"), number // ROW_GROUP, number % ROW_GROUP, column)
    return ImageRef(hashlib.sha256(data).hexdigest(), (), place)


@pytest.mark.parametrize("column", ["image.bytes", "plain"])
def test_cells_are_the_files_they_hold(tmp_path: Path, files: list[bytes], column: str) -> None:
    for number, data in enumerate(files):
        on_disk = ImageRef.from_file(tmp_path / f"{number}.jpg")
        ref = pickle.loads(pickle.dumps(cell(tmp_path, data, number, column)))
        assert ref == on_disk
        assert ref.key == on_disk.key
        assert images.measure(ref) == images.measure(on_disk) == (320, 240)
        images._decoded.clear()
        assert ref.load().tobytes() == on_disk.load().tobytes()


def test_bytes_in_memory(tmp_path: Path, files: list[bytes]) -> None:
    data = files[0]
    ref = ImageRef(hashlib.sha256(data).hexdigest(), (), EncodedBytes(data))
    assert images.measure(ref) == (320, 240)
    half = ref.then(Operation.of("resize", 1, width=160, height=120))
    assert half.load().size == (160, 120)
    assert half == ImageRef.from_file(tmp_path / "0.jpg").then(Operation.of("resize", 1, width=160, height=120))


def test_other_bytes_than_listed_are_refused(tmp_path: Path, files: list[bytes]) -> None:
    images._decoded.clear()
    with pytest.raises(UserError, match=r"set\.parquet .row 1 of row group 0.* has changed"):
        cell(tmp_path, files[0], 1).load()
    with pytest.raises(UserError, match="an image of a streamed set has changed"):
        ImageRef("0" * 64, (), EncodedBytes(files[0])).load()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("set.parquet", 0, 7, "image.bytes"), "has no row 7"),
        (("set.parquet", 9, 0, "image.bytes"), "row group 9 cannot be read"),
        (("set.parquet", 0, 0, "picture.bytes"), "picture.bytes of row group 0 cannot be read"),
        (("set.parquet", 0, 0, "text"), "holds no bytes"),
        (("none.parquet", 0, 0, "image.bytes"), "is gone since"),
        (("0.jpg", 0, 0, "image.bytes"), "cannot be read"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, files: list[bytes], place: tuple[str, int, int, str], message: str
) -> None:
    name, *rest = place
    with pytest.raises(UserError, match=message):
        parquet.read_cell(ParquetCell(str(tmp_path / name), *rest))
