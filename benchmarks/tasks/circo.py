"""CIRCO: find all photos that a sentence makes of another among COCO's unlabelled ones (arXiv 2303.15247)."""

from __future__ import annotations

from typing import Any

from benchmarks.tasks.composed import fresh, gallery, picture, rows
from benchmarks.tasks.folder import DataFolder
from benchmarks.types import DataFile, Query, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import Input

REVISION = "6db0150476ffcee0f60ea1d8fb04d15e6845f5db"
_RAW = f"https://raw.githubusercontent.com/miccunifi/CIRCO/{REVISION}/annotations"
_COCO = "http://images.cocodataset.org"
_INFO = "coco/annotations/image_info_unlabeled2017.json"
_GALLERY = (
    DataFile(
        _INFO,
        f"{_COCO}/annotations/image_info_unlabeled2017.zip",
        member="annotations/image_info_unlabeled2017.json",
        annotations=True,
    ),
    DataFile("coco/unlabeled2017", f"{_COCO}/zips/unlabeled2017.zip", member="unlabeled2017"),
)
ASPECTS = (
    "cardinality",
    "addition",
    "negation",
    "direct_addressing",
    "compare_change",
    "comparative_statement",
    "statement_with_conjunction",
    "spatial_relations_background",
    "viewpoint",
)
"""What the sentences of the validation split speak of; each becomes a tag, and so a part of the skill report."""


def _row(name: str, split: str, description: str, metric: str, also: tuple[str, ...], target: bool = False) -> TaskSpec:
    return TaskSpec(
        name=name,
        version=1,
        loader="benchmarks.tasks.circo:load",
        description=description,
        metric=metric,
        also=also,
        source="https://github.com/miccunifi/CIRCO",
        citation="Baldrati et al., Zero-Shot Composed Image Retrieval with Textual Inversion, ICCV 2023, "
        "arXiv 2303.15247",
        licence="annotations CC BY-NC 4.0; photos under COCO's terms",
        revision=REVISION,
        counts={"queries": 220 if split == "val" else 800},
        files=(DataFile(f"circo/annotations/{split}.json", f"{_RAW}/{split}.json", annotations=True), *_GALLERY),
        params={"split": split, "target": target, **({"server": "circo"} if split == "test" else {})},
    )


_MAPS = ("map@10", "map@25", "map@50")
ROWS = (
    _row(
        "circo/val", "val", "which photos are this one, changed as the sentence says? (all right ones)", "map@5", _MAPS
    ),
    _row(
        "circo/val-target",
        "val",
        "as circo/val, but only the photo that the sentence was written for counts",
        "hit@5",
        ("hit@10", "hit@25", "hit@50"),
        target=True,
    ),
    _row("circo/test", "test", "[answers at the server] as circo/val, on the test split", "map@5", _MAPS),
)


def load(spec: TaskSpec, context: TaskContext) -> TaskData:
    """The gallery is every photo of COCO's unlabelled set, the reference too: the publisher's code leaves it in."""
    folder, split = DataFolder(spec, context), str(spec.params["split"])
    file = f"circo/annotations/{split}.json"
    kinds: dict[str, type | tuple[type, ...]] = {"id": int, "reference_img_id": int, "relative_caption": str}
    if split == "val":
        kinds |= {"target_img_id": int, "gt_img_ids": list}
    entries = rows(folder, file, kinds)
    folder.count("queries", len(entries))
    candidates = gallery(folder, _places(folder))
    seen: set[str] = set()
    queries = []
    for row in entries[: context.limit]:
        where = f"{file}, id {row['id']}"
        right = _right(row, bool(spec.params["target"]), where) if split == "val" else []
        for key in right:
            picture(candidates, key, where)
        aspects = row.get("semantic_aspects")
        queries.append(
            Query(
                key=fresh(str(row["id"]), seen, where),
                input=Input(row["relative_caption"], picture(candidates, str(row["reference_img_id"]), where)),
                relevance=dict.fromkeys(right, 1.0),
                cluster=str(row["reference_img_id"]),
                tags={aspect: aspect in aspects for aspect in ASPECTS} if isinstance(aspects, list) else {},
            )
        )
    notes = (
        "the reference photo stays among the candidates, as in the publisher's evaluation",
        "the question is relative_caption alone; shared_concept is not told",
    )
    return TaskData(tuple(queries), candidates, notes=notes)


def _places(folder: DataFolder) -> dict[str, str]:
    info = folder.require(folder.json(_INFO), {"images": list}, _INFO)
    places: dict[str, str] = {}
    for number, row in enumerate(info["images"]):
        folder.require(row, {"id": int, "file_name": str}, f"{_INFO}, image {number}")
        places[str(row["id"])] = f"coco/unlabeled2017/{row['file_name']}"
    return places


def _right(row: dict[str, Any], target: bool, where: str) -> list[str]:
    found = [row["target_img_id"]] if target else row["gt_img_ids"]
    if not found or not all(isinstance(each, int) and not isinstance(each, bool) for each in found):
        raise UserError(f"{where}: gt_img_ids is not a list of picture numbers; get the file again")
    return list(dict.fromkeys(map(str, found)))
