"""`verify` finds what was altered, even where every hash was altered with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sets import captions, picture, source

from datagen import index
from datagen.codecs import Codec
from datagen.sources.registry import open_source
from datagen.verify import Report, verify
from fuselip.core.errors import UserError
from fuselip.core.files import sha256_file
from fuselip.core.shards import Shard, ShardWriter

TAR = "data/captions-p1-i1/00001.tar"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("built")
    spec = source(folder / "images", 12)
    (folder / "images/0005.jpg").write_bytes((folder / "images/0005.jpg").read_bytes()[:-200])
    captions(spec, folder / "set")
    captions(spec, folder / "virtual", virtual=True)
    return spec, folder


@pytest.fixture
def copy(built: tuple[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(built[1] / "set", tmp_path / "set"))


def check(out: Path, spec: str | None = None, **options: Any) -> Report:
    return verify(out, open_source(spec) if spec else None, **options)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sound_set(built: tuple[str, Path], workers: int) -> None:
    steps: list[tuple[int, int]] = []
    report = check(
        built[1] / "set", built[0], workers=workers, sample=6, progress=lambda done, total: steps.append((done, total))
    )
    assert (report.problems, report.skipped) == ([], [])
    assert report.checked == {"files": 14, "groups": 11, "images": 11, "pairs": 11, "rederived": 6}
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_without_its_source_that_is_said(built: tuple[str, Path]) -> None:
    report = check(built[1] / "set")
    assert report.found == 0
    assert "no item was made again" in report.skipped[0]


def test_a_virtual_set(built: tuple[str, Path]) -> None:
    report = check(built[1] / "virtual", built[0], sample=12)
    assert report.problems == []
    assert report.checked["rows"] == report.checked["rederived"] == 12


def test_an_unfinished_set_is_no_set_to_verify(copy: Path) -> None:
    (copy / "manifest.json").unlink()
    with pytest.raises(UserError, match="not complete"):
        check(copy)


def test_one_flipped_bit_anywhere_is_found(built: tuple[str, Path], tmp_path: Path) -> None:
    names = json.loads((built[1] / "set/manifest.json").read_text())["files"]
    for number, name in enumerate(names):
        out = Path(shutil.copytree(built[1] / "set", tmp_path / str(number)))
        data = bytearray((out / name).read_bytes())
        data[len(data) // 2] ^= 1
        (out / name).write_bytes(data)
        if name == "build.json" and _unreadable(out):
            continue
        report = check(out)
        assert any(name in problem for problem in report.problems), (name, report.problems)


def _unreadable(out: Path) -> bool:
    try:
        check(out)
    except UserError:
        return True
    return False


def test_missing_and_added_files_are_found(copy: Path) -> None:
    (copy / TAR).unlink()
    (copy / "data/captions-p1-i1/00009.tar").write_bytes(b"")
    problems = check(copy).problems
    assert f"{TAR} is missing" in problems
    assert "data/captions-p1-i1/00009.tar is not in the manifest" in problems


def _resign(out: Path, name: str) -> None:
    """Make the manifest agree with an altered file."""
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": (out / name).stat().st_size, "sha256": sha256_file(out / name)}
    (out / "manifest.json").write_text(json.dumps(manifest))


def _change_index(out: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = out / "index/00001.parquet"
    rows = list(index.read(path))
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, index.SCHEMA), path)
    _resign(out, "index/00001.parquet")


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[0].update(right_text="other words"),
        lambda rows: rows.pop(),
        lambda rows: rows.append(dict(rows[0])),
        lambda rows: rows[1].update(seed=4),
    ],
)
def test_an_index_that_differs_from_its_shard_is_found(
    copy: Path, change: Callable[[list[dict[str, Any]]], None]
) -> None:
    _change_index(copy, change)
    assert any(problem.startswith("index/00001.parquet") for problem in check(copy).problems)


def _rewrite(out: Path, change: Callable[[dict[str, Any], list[bytes]], None]) -> None:
    """Write a shard with altered samples, and sign it."""
    samples = [(dict(each.record), [each.image_bytes(0)]) for each in Shard(out / TAR)]
    with open(out / TAR, "wb") as stream:
        writer = ShardWriter(stream, "jpg")
        for number, (record, pictures) in enumerate(samples):
            if number == 1:
                change(record, pictures)
            writer.add(record, pictures)
        writer.close()
    _resign(out, TAR)


def _other_pixels(record: dict[str, Any], pictures: list[bytes]) -> None:
    encoded = Codec().encode(picture(77))
    pictures[0] = encoded.data
    record["images"] = [{**record["images"][0], "sha256": encoded.sha256}]


def _other_size(record: dict[str, Any], pictures: list[bytes]) -> None:
    record["images"] = [{**record["images"][0], "width": 47}]


def _no_image(record: dict[str, Any], pictures: list[bytes]) -> None:
    pictures[0] = b"not a picture"


def test_images_that_are_not_as_recorded_are_found(copy: Path) -> None:
    _rewrite(copy, _other_size)
    assert any("48x32, not 47x32" in problem for problem in check(copy).problems)
    _rewrite(copy, _no_image)
    assert any("image 0 of 000000006-000 differs from its hash" in problem for problem in check(copy).problems)


def test_other_pixels_signed_throughout_are_found_by_making_them_again(built: tuple[str, Path], copy: Path) -> None:
    _rewrite(copy, _other_pixels)
    _change_index(copy, lambda rows: rows[1].update(bytes=len(Codec().encode(picture(77)).data)))
    assert check(copy).problems == []
    problems = check(copy, built[0], sample=12).problems
    assert problems == ["000000006-000 (item 0006.jpg) made again differs from what the set holds"]
