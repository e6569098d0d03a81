"""Open Images boxes: by image, in pixels, with their classes' names; bad rows and missing images are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from datagen.sources.open_images import OpenImages
from datagen.sources.registry import open_source
from datagen.sources.types import Region
from fuselip.core.errors import UserError
from tests.datagen.annotations import bad, good, open_images

BOXES = [
    ("a1", "Bird", (0.1, 0.2, 0.5, 0.7)),
    ("a1", "Car", (0.0, 0.0, 0.999, 1.0)),
    ("b2", "Bird", (0.25, 0.5, 0.75, 1.0)),
    ("b2", "Crowd", (0.0, 0.0, 0.5, 0.5)),
]


def test_regions_are_boxes_in_pixels(tmp_path: Path) -> None:
    source = open_source(f"open-images:{open_images(tmp_path, BOXES, group='Crowd')}")
    first, second = good(source)
    assert first.key == "a1"
    assert first.regions == (Region("Bird", (40, 60, 200, 210), "Bird"), Region("Car", (0, 0, 400, 300), "Car"))
    assert second.regions == (Region("Bird", (100, 150, 300, 300), "Bird"),)
    assert list(source.items()) == list(source.items())


def test_annotations_keep_groups_and_flags(tmp_path: Path) -> None:
    found = dict(OpenImages(open_images(tmp_path, BOXES, group="Crowd")).annotations())  # type: ignore[arg-type]
    assert [box.label for box in found["b2"]] == ["Bird", "Crowd"]
    assert found["b2"][1].flags == {"IsGroupOf"}
    assert found["a1"][0].pixels(400, 300) == pytest.approx((40, 60, 200, 210))


def test_bad_rows_and_missing_images_are_named(tmp_path: Path) -> None:
    open_images(tmp_path, BOXES)
    boxes = tmp_path / "validation-annotations-bbox.csv"
    rows = boxes.read_text().splitlines()
    rows.insert(2, rows[1].replace("/m/0000", "/m/none"))
    rows.insert(3, rows[1].replace("0.1,0.5", "0.5,0.1"))
    rows.insert(4, "a1,xclick")
    rows += [rows[1].replace("a1", "../b2"), rows[1]]
    boxes.write_text("\n".join(rows))
    (tmp_path / "images" / "b2.jpg").unlink()
    source = OpenImages(tmp_path)
    assert [item.key for item in good(source)] == ["a1"]
    reasons = bad(source)
    assert "/m/none has no name" in reasons["validation-annotations-bbox.csv, line 3"]
    assert "XMin < XMax" in reasons["validation-annotations-bbox.csv, line 4"]
    assert "validation-annotations-bbox.csv, line 5" in reasons
    assert "b2.jpg does not exist" in reasons["b2"]
    assert "leads out" in reasons["../b2"]
    assert "occurs earlier" in reasons["a1"], "rows of an image stand together"


def test_class_descriptions_with_a_header_row(tmp_path: Path) -> None:
    open_images(tmp_path, BOXES)
    path = tmp_path / "class-descriptions-boxable.csv"
    (tmp_path / "oidv7-class-descriptions-boxable.csv").write_text("LabelName,DisplayName\n" + path.read_text())
    path.unlink()
    assert "LabelName" not in OpenImages(tmp_path).classes


def test_files_that_are_not_there_or_are_others(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"one file .*annotations-bbox\.csv"):
        OpenImages(tmp_path)
    open_images(tmp_path, BOXES)
    (tmp_path / "train-annotations-bbox.csv").write_text("x")
    with pytest.raises(UserError, match=r"train-annotations-bbox\.csv, validation-annotations-bbox\.csv is there"):
        OpenImages(tmp_path)
    with pytest.raises(UserError, match="has no column ImageID"):
        list(OpenImages(tmp_path, boxes="train-annotations-bbox.csv").items())
