"""OI-Crop and OI-Pos: which crop of Open Images pictures a class name, or a side, asks for (FuseLIP, section 4).

Formats: `oi-crop.json` {meta, data: [entry]} and `oi-crop-positional-v3.json` {meta, data: {label: [entry]}}, entries
{query_img, query_target, retrieval_samples: [{ImageID, LabelName, bbox: {XMin, XMax, YMin, YMax}}]}, the second also
{label, bbox}. Boxes are pixels of the pictures. In the published files the answer stands first; here it is known by
what it is: the one sample of the query's own picture and class, or with the entry's own box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.tasks.crops import Cropper, pixels
from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, TaskContext, TaskData, TaskSpec
from datagen.boxes import area
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input, Scalar

CORNERS = ("XMin", "YMin", "XMax", "YMax")
FITTING = 0.9
"""Least share of pictures of which the boxes must be fractions; of those of another size most are not."""

_IMAGES = DataFile(
    "openimages/images",
    how="put the Open Images v7 test pictures there as ImageID.jpg, from storage.googleapis.com/openimages/web/"
    "download_v7.html, nearly all in copies whose longer side is 1024 pixels: the boxes are pixels of these",
)


def _annotations(name: str) -> DataFile:
    how = f"copy {name} from the folder data of the paper's repository (github.com/chs20/fuselip) there"
    return DataFile(f"openimages/{name}", how=how, annotations=True)


def _row(name: str, file: str, description: str, queries: int, chance: float, partial: dict[str, float]) -> TaskSpec:
    return TaskSpec(
        name=name,
        version=1,
        loader="benchmarks.tasks.openimages:load",
        description=description,
        also=("strict@1", "mrr"),
        source="Open Images v7 test pictures",
        citation="FuseLIP, arXiv 2506.03096; Open Images v7",
        licence="boxes CC BY 4.0, pictures CC BY 2.0 as listed by Open Images",
        chance=chance,
        counts={"queries": queries},
        files=(_annotations(file), _IMAGES),
        partial=partial,
        params={"file": file},
    )


ROWS = (
    _row(
        "oi/crop",
        "oi-crop.json",
        "a picture and a class name: which of ten crops shows that object of that picture?",
        1046,
        1 / 10,
        # Five of the ten crops are of the query's picture, six are of the class asked for.
        {"image alone": 1 / 5, "text alone": 1 / 6},
    ),
    _row(
        "oi/pos",
        "oi-crop-positional-v3.json",
        "a picture and 'The bird on the left': which of up to four crops is it, not its like on the other side?",
        2546,
        (2076 / 4 + 464 / 3 + 6 / 2) / 2546,
        {"right object, ignores left and right": 1 / 2},
    ),
)


@dataclass(frozen=True)
class _Entry:
    where: str
    image: str
    phrase: str
    label: str
    samples: tuple[tuple[str, tuple[float, ...]], ...]
    """(file name of the picture, box as published), the answer among them."""
    target: int


def load(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`oi/crop` and `oi/pos`. Raises UserError for files that are missing, not the publisher's, or of another size."""
    folder = DataFolder(spec, context)
    entries = list(_entries(folder, f"openimages/{spec.params['file']}"))
    folder.count("queries", len(entries))
    wanted = set(list(dict.fromkeys(entry.image for entry in entries))[: context.limit])
    entries = [entry for entry in entries if entry.image in wanted]
    names = dict.fromkeys(name for entry in entries for name, _ in entry.samples)
    pictures = {name: folder.image(f"openimages/images/{name}") for name in names}
    cropper = Cropper(folder)
    queries: dict[str, Query] = {}
    candidates: dict[str, Candidate] = {}
    for entry in entries:
        pool = []
        for name, corners in entry.samples:
            box = pixels(corners, entry.where)
            key = f"{name}/{'-'.join(map(str, box))}"
            if key not in candidates:
                image = cropper.inside(pictures[name], box, entry.where)
                candidates[key] = Candidate(key, (Input(image=image),))
            pool.append(key)
        query = _query(entry, pictures[entry.image], pool, cropper)
        if query.key in queries:
            raise UserError(f"{entry.where}: {query.key!r} is asked twice; get the file again")
        queries[query.key] = query
    _check_sizes(entries, pictures, cropper, folder)
    notes = ("boxes are rounded to whole pixels, halves to even, as the paper's code crops",)
    return TaskData(tuple(queries.values()), candidates, (), notes)


def _query(entry: _Entry, image: ImageRef, pool: list[str], cropper: Cropper) -> Query:
    side = entry.phrase.rpartition(" on the ")[2]
    tags: dict[str, Scalar] = {"label": entry.label, "candidates": len(pool)}
    if side in ("left", "right"):
        tags["side"] = side
    if size := cropper.size(image):
        box = pixels(entry.samples[entry.target][1], entry.where)
        tags["target share"] = round(area(box) / (size[0] * size[1]), 4)
    return Query(
        key=f"{entry.image}/{entry.phrase}",
        input=Input(entry.phrase, image),
        relevance={pool[entry.target]: 1.0},
        candidates=tuple(dict.fromkeys(pool)),
        cluster=entry.image,
        tags=tags,
    )


def _entries(folder: DataFolder, file: str) -> Iterator[_Entry]:
    path = folder.path(file)
    data = folder.require(folder.json(file), {"data": (list, dict)}, str(path))["data"]
    for label, rows in data.items() if isinstance(data, dict) else [("", data)]:
        if not isinstance(rows, list):
            raise UserError(f"{path}, {label!r}: not a list of entries; get the file again")
        for number, row in enumerate(rows):
            yield _entry(folder, row, f"{path}, entry {number}" + (f" of {label!r}" if label else ""))


def _entry(folder: DataFolder, row: Any, where: str) -> _Entry:
    folder.require(row, {"query_img": str, "query_target": str, "retrieval_samples": list}, where)
    samples = []
    for sample in row["retrieval_samples"]:
        folder.require(sample, {"ImageID": str, "LabelName": str, "bbox": dict}, where)
        samples.append((sample["ImageID"], _corners(folder, sample["bbox"], where)))
    own = [name == row["query_img"] for name, _ in samples]
    if "bbox" in row:
        asked = _corners(folder, folder.require(row, {"bbox": dict}, where)["bbox"], where)
        fitting = [box == asked for _, box in samples]
    else:
        fitting = [sample["LabelName"] == row["query_target"] for sample in row["retrieval_samples"]]
    targets = [place for place, both in enumerate(zip(own, fitting, strict=True)) if all(both)]
    if len(targets) != 1:
        raise UserError(f"{where}: {len(targets)} samples are what is asked for, not one; get the file again")
    label = str(row.get("label", row["query_target"]))
    return _Entry(where, row["query_img"], row["query_target"], label, tuple(samples), targets[0])


def _corners(folder: DataFolder, box: dict[str, Any], where: str) -> tuple[float, ...]:
    folder.require(box, dict.fromkeys(CORNERS, (int, float)), where)
    return tuple(box[name] for name in CORNERS)


def _check_sizes(entries: list[_Entry], pictures: dict[str, ImageRef], cropper: Cropper, folder: DataFolder) -> None:
    """UserError where the pictures are not those that the boxes were measured on, but larger or smaller copies.

    Open Images gives boxes as fractions of eight digits, and the published boxes are these times the picture's sides:
    divided by the sides of another copy they seldom are such fractions again.
    """
    boxes: dict[str, list[tuple[float, ...]]] = {}
    for entry in entries:
        boxes.setdefault(entry.image, []).append(entry.samples[entry.target][1])
    fits = []
    for name, found in boxes.items():
        if size := cropper.size(pictures[name]):
            fits.append(
                all(_is_fraction(corner, side) for box in found for corner, side in zip(box, size * 2, strict=True))
            )
    if sum(fits) < FITTING * len(fits):
        raise UserError(
            f"{folder.spec.name}: the boxes do not fit the sizes of {len(fits) - sum(fits)} of {len(fits)} pictures; "
            f"{folder.root / _IMAGES.path} holds copies of another size: {_IMAGES.how}"
        )


def _is_fraction(corner: float, side: int) -> bool:
    share = corner / side
    return abs(share - float(f"{share:.8g}")) <= 1e-12
