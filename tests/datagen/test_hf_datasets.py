"""Hugging Face data sets: parquet by pyarrow alone, and streaming where `datasets` is installed."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.sources.hf_datasets import HubSet, ParquetSet
from datagen.sources.registry import open_source
from datagen.sources.types import Question
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import EncodedBytes
from tests.datagen.annotations import bad, good, jpeg

needs_datasets = pytest.mark.skipif(not importlib.util.find_spec("datasets"), reason="datasets is not installed")


def write(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def struct(*numbers: int) -> list[dict[str, Any]]:
    return [{"bytes": jpeg(number), "path": f"{number}.jpg"} for number in numbers]


def test_captions_as_texts_and_lists(tmp_path: Path) -> None:
    write(tmp_path / "one.parquet", image=struct(0, 1), caption=["a dog ", None])
    write(tmp_path / "two.parquet", jpg=[jpeg(2)], captions=[["a cat", "a cat", " ", "a pet"]])
    first, second = good(ParquetSet("one.parquet", tmp_path))
    assert (first.key, first.captions, second.captions) == ("one.parquet/0", ("a dog",), ())
    assert first.image.source == hashlib.sha256(jpeg(0)).hexdigest()
    assert first.image.load().size == (96, 64)
    (third,) = good(ParquetSet("two.parquet", tmp_path))
    assert third.captions == ("a cat", "a pet")


def test_questions_on_one_picture_are_all_kept(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", image=struct(0, 0), question=["Who?", "What?"], answer=["Me", "That"])
    items = good(ParquetSet("a.parquet", tmp_path))
    assert [item.questions for item in items] == [(Question("Who?", "Me"),), (Question("What?", "That"),)]


def test_columns_by_name(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", picture=struct(0), mask=struct(1), alt=["words"], text=["other"])
    (item,) = good(open_source("parquet:a.parquet?image=mask&caption=alt", str(tmp_path)))
    assert item.image.source == hashlib.sha256(jpeg(1)).hexdigest()
    assert item.captions == ("words",)
    (item,) = good(open_source("parquet:?.parquet", str(tmp_path)))
    assert (item.image.source, item.captions) == (hashlib.sha256(jpeg(0)).hexdigest(), ("other",))
    with pytest.raises(UsageError, match="no caption column 'alts'; did you mean 'alt'"):
        ParquetSet("a.parquet", tmp_path, caption="alts")
    write(tmp_path / "b.parquet", text=["no image"])
    with pytest.raises(UserError, match="no column of images"):
        ParquetSet("b.parquet", tmp_path)


def test_bad_rows_are_named(tmp_path: Path) -> None:
    rows = [
        *struct(0, 0),
        {"bytes": b"", "path": None},
        {"bytes": b"GIF89a", "path": None},
        {"bytes": None, "path": "../x"},
    ]
    write(tmp_path / "a.parquet", image=rows)
    source = ParquetSet("a.parquet", tmp_path)
    assert len(good(source)) == 1
    reasons = bad(source)
    assert set(reasons) == {f"a.parquet/{row}" for row in (1, 2, 3, 4)}
    assert "identical bytes" in reasons["a.parquet/1"]
    assert "empty (0 bytes)" in reasons["a.parquet/2"]
    assert "leads out" in reasons["a.parquet/4"]


def test_without_datasets_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'fuselip\[datagen\]'"):
        HubSet("owner/set")


@needs_datasets
def test_streamed_by_datasets(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train-0.parquet", image=struct(0, 1), text=["a", "b"])
    source = open_source(f"hf:{tmp_path / 'set'}?image=image")
    items = good(source)
    assert [(item.key, item.captions) for item in items] == [("000000000", ("a",)), ("000000001", ("b",))]
    assert isinstance(items[0].image.locator, EncodedBytes)
    assert items[0].image.load().size == (96, 64)
    assert good(HubSet("parquet", data_files=str(tmp_path / "set" / "*.parquet"))) == items
    with pytest.raises(UserError, match="cannot be opened"):
        HubSet(str(tmp_path / "set"), split="none")
