"""Small copies of public data sets, in their own formats: Visual Genome, Open Images, HQ-Edit."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.sources.types import Rejected, Source, SourceItem
from tests.datagen.sets import picture

HQ_TEXTS = ("edit", "inverse_edit", "input", "output")


def good(source: Source) -> list[SourceItem]:
    return [item for item in source.items() if isinstance(item, SourceItem)]


def bad(source: Source) -> dict[str, str]:
    return {item.item: item.reason for item in source.items() if isinstance(item, Rejected)}


def jpeg(number: int, width: int = 96, height: int = 64) -> bytes:
    buffer = io.BytesIO()
    picture(number, width, height).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def visual_genome(root: Path, num_images: int, regions: int = 3, width: int = 200, height: int = 160) -> Path:
    """Images 1 to n with so many regions, 50 pixels apart, and as many questions; odd ids are in VG_100K_2."""
    described, asked = [], []
    for number in range(1, num_images + 1):
        folder = root / ("VG_100K_2" if number % 2 else "VG_100K")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(jpeg(number, width, height))
        common = {"image_id": number}
        described.append(
            {
                "id": number,
                "regions": [
                    {
                        **common,
                        "region_id": 100 * number + index,
                        "x": 50 * index,
                        "y": 10,
                        "width": 40,
                        "height": 60,
                        "phrase": f"thing {index} of {number}",
                    }
                    for index in range(regions)
                ],
            }
        )
        asked.append(
            {
                "id": number,
                "qas": [
                    {
                        **common,
                        "qa_id": index,
                        "question": f"What is {index}?",
                        "answer": f"Thing {index}.",
                        "a_objects": [],
                    }
                    for index in range(regions)
                ],
            }
        )
    write_json(root / "region_descriptions.json", described)
    write_json(root / "question_answers.json", asked)
    return root


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), "utf-8")
    return path


OI_COLUMNS = [
    "ImageID",
    "Source",
    "LabelName",
    "Confidence",
    "XMin",
    "XMax",
    "YMin",
    "YMax",
    "IsOccluded",
    "IsTruncated",
    "IsGroupOf",
    "IsDepiction",
    "IsInside",
]


def open_images(root: Path, boxes: list[tuple[str, str, tuple[float, float, float, float]]], group: str = "") -> Path:
    """Rows of (image id, class, (left, top, right, bottom) in fractions); boxes of class `group` are IsGroupOf."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    classes = {name: f"/m/{index:04d}" for index, name in enumerate(dict.fromkeys(name for _, name, _ in boxes))}
    with open(root / "class-descriptions-boxable.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows((key, name) for name, key in classes.items())
    with open(root / "validation-annotations-bbox.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(OI_COLUMNS)
        for image, name, (left, top, right, bottom) in boxes:
            flags = (0, 0, int(name == group), 0, 0)
            writer.writerow((image, "xclick", classes[name], 1, left, right, top, bottom, *flags))
    for number, image in enumerate(dict.fromkeys(image for image, _, _ in boxes)):
        (root / "images" / f"{image}.jpg").write_bytes(jpeg(number, 400, 300))
    return root


def hq_edit(path: Path, num_rows: int, row_group_size: int = 2) -> Path:
    """Row i edits picture 2i into 2i+1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        "input_image": [{"bytes": jpeg(2 * number), "path": f"{number}_in.jpg"} for number in range(num_rows)],
        "output_image": [{"bytes": jpeg(2 * number + 1), "path": None} for number in range(num_rows)],
    }
    columns |= {name: [f"{name} {number}" for number in range(num_rows)] for name in HQ_TEXTS}
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path
