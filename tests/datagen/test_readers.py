"""Shards are read by the libraries that people use: webdataset and datasets, where they are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sets import captions, source

from datagen.generate import build
from datagen.plan import Config
from datagen.sources.registry import open_source
from fuselip.core.shards import Shard


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    captions(source(folder / "images", 10), folder / "set")
    return folder / "set"


def test_webdataset(built: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    pattern = str(built / "data/captions-p1-i1/{00000..00002}.tar")
    samples = list(webdataset.WebDataset(pattern, shardshuffle=False).decode("pil"))
    ours = [sample for path in sorted((built / "data").rglob("*.tar")) for sample in Shard(path)]
    assert [sample["__key__"] for sample in samples] == [sample.key for sample in ours]
    assert [sample["json"] for sample in samples] == [sample.record for sample in ours]
    for sample, own in zip(samples, ours, strict=True):
        assert np.array_equal(np.asarray(sample["00.jpg"]), np.asarray(own.image(0).load()))


def test_datasets_by_the_card(built: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset(str(built), "captions-p1-i1", split="train", cache_dir=str(tmp_path))
    assert len(found) == 10
    assert found[3]["json"]["pairs"][0]["right_text"] == "picture number 3"
    assert found[3]["00.jpg"].size == (48, 32)


def test_datasets_by_the_format(built: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = str(built / "data/captions-p1-i1/*.tar")
    found = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path))
    assert [row["__key__"] for row in found] == [f"{number:09d}-000" for number in range(10)]
    rows = datasets.load_dataset(
        "parquet", data_files=str(built / "index/*.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert rows["right_text"][:] == [f"picture number {number}" for number in range(10)]


def test_sets_of_several_shapes_by_datasets(tmp_path: Path) -> None:
    """Groups of several images, and parameters whose types differ between samples."""
    datasets = pytest.importorskip("datasets")
    spec = open_source(source(tmp_path / "images", 6, 96, 96))
    build(Config.of("transforms", spec.name), spec, tmp_path / "set")
    names = sorted(path.name for path in (tmp_path / "set/data").iterdir())
    assert len(names) > 2
    for name in names:
        found = datasets.load_dataset(str(tmp_path / "set"), name, split="train", cache_dir=str(tmp_path / "cache"))
        members = {column for column in found.column_names if column.endswith(".jpg")}
        assert f"-i{len(members)}" in name
        assert len(found) == sum(len(Shard(path)) for path in (tmp_path / "set/data" / name).glob("*.tar"))
