"""HQ-Edit's parquet rows become an image with one edit, read in place."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from datagen import items
from datagen.sources.hq_edit import HQEdit
from datagen.sources.registry import open_source
from fuselip.core import images
from fuselip.core.errors import UserError
from tests.datagen.annotations import bad, good, hq_edit, jpeg


def test_rows_become_edits(tmp_path: Path) -> None:
    for name in ("b", "a"):
        hq_edit(tmp_path / f"{name}.parquet", 3)
    source = open_source("hq-edit:*.parquet", str(tmp_path))
    items = good(source)
    assert [item.key for item in items] == [f"{name}.parquet/{row}" for name in "ab" for row in range(3)]
    third = items[2]
    (edit,) = third.edits
    assert (third.captions, edit.instruction, edit.inverse, edit.captions) == (
        ("input 2",),
        "edit 2",
        "inverse_edit 2",
        ("output 2",),
    )
    assert third.image.source == hashlib.sha256(jpeg(4)).hexdigest()
    assert edit.image.source == hashlib.sha256(jpeg(5)).hexdigest()
    images._decoded.clear()
    assert edit.image.load().tobytes() == Image.open(io.BytesIO(jpeg(5))).tobytes()
    assert list(source.items()) == list(source.items())


def test_bad_rows_are_named(tmp_path: Path) -> None:
    path = hq_edit(tmp_path / "a.parquet", 4)
    table = pq.read_table(path).to_pydict()
    table["input_image"][0]["bytes"] = b"<html>"
    table["output_image"][1] = {"bytes": None, "path": None}
    table["edit"][2] = " "
    table["inverse_edit"][3] = None
    pq.write_table(pq.read_table(path).schema.empty_table().from_pydict(table), path)
    source = HQEdit("a.parquet", tmp_path)
    (item,) = good(source)
    assert (item.key, item.edits[0].inverse) == ("a.parquet/3", "")
    reasons = bad(source)
    assert "an HTML page" in reasons["a.parquet/0"]
    assert "neither bytes nor the path" in reasons["a.parquet/1"]
    assert "edit is empty" in reasons["a.parquet/2"]


def test_images_beside_the_parquet_file(tmp_path: Path) -> None:
    path = hq_edit(tmp_path / "a.parquet", 1)
    table = pq.read_table(path).to_pydict()
    (tmp_path / "in.jpg").write_bytes(jpeg(0))
    table["input_image"] = [{"bytes": None, "path": "in.jpg"}]
    pq.write_table(pq.read_table(path).from_pydict(table), path)
    (item,) = good(HQEdit("a.parquet", tmp_path))
    assert item.image.source == hashlib.sha256(jpeg(0)).hexdigest()


def test_other_files_are_refused(tmp_path: Path) -> None:
    hq_edit(tmp_path / "a.parquet", 1)
    table = pq.read_table(tmp_path / "a.parquet").drop_columns(["edit"])
    pq.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet has no column 'edit'"):
        HQEdit("b.parquet", tmp_path)
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"c\.parquet is no parquet file"):
        HQEdit("c.parquet", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no \.parquet files"):
        HQEdit("empty", tmp_path)


def test_cells_in_virtual_rows(tmp_path: Path) -> None:
    hq_edit(tmp_path / "a.parquet", 3)
    item = good(HQEdit("a.parquet", tmp_path))[2]
    stored = json.loads(json.dumps(items.to_json(item, tmp_path)))
    again = items.from_json(stored, tmp_path)
    assert again == item
    assert again.edits[0].image.locator == item.edits[0].image.locator
    assert str(tmp_path) not in json.dumps(stored)
