"""GeneCIS: find the picture that is like another in the one respect that a word names (arXiv 2306.07969)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.tasks.composed import rows
from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, Skip, TaskContext, TaskData, TaskSpec
from datagen.transforms.dilated_crop import step
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

_REPOSITORY = "https://github.com/facebookresearch/genecis"
_COCO = DataFile("coco/val2017", "http://images.cocodataset.org/zips/val2017.zip", member="val2017")
_ARCHIVES = "https://cs.stanford.edu/people/rak248/VG_100K_2"
_VISUAL_GENOME = (
    DataFile("vg/VG_100K", f"{_ARCHIVES}/images.zip", member="VG_100K"),
    DataFile("vg/VG_100K_2", f"{_ARCHIVES}/images2.zip", member="VG_100K_2"),
)
_TASKS = {
    "focus_attribute": "which object has the same named attribute as this one?",
    "change_attribute": "which is this object with another attribute, the one named?",
    "focus_object": "which scene has the named object in it, as this one does?",
    "change_object": "which is this scene with the named object added?",
}


def _row(name: str, description: str) -> TaskSpec:
    objects = name.endswith("_object")
    return TaskSpec(
        name=f"genecis/{name}",
        version=1,
        loader="benchmarks.tasks.genecis:load",
        description=description,
        metric="hit@1",
        also=("hit@2", "hit@3"),
        source=_REPOSITORY,
        citation="Vaze et al., GeneCIS, CVPR 2023, arXiv 2306.07969",
        licence="annotations CC BY-NC 4.0; photos under COCO's terms"
        if objects
        else "annotations CC BY-NC 4.0; photos CC BY 4.0 (Visual Genome)",
        chance=1 / 15 if objects else None,
        counts={"queries": 1960} if objects else {},
        files=(
            DataFile(f"genecis/{name}.json", how=f"copy it from {_REPOSITORY}, folder genecis", annotations=True),
            *([_COCO] if objects else _VISUAL_GENOME),
        ),
        unverified=not objects,
        params={"objects": objects, "file": name},
    )


ROWS = tuple(_row(name, description) for name, description in _TASKS.items())


def load(spec: TaskSpec, context: TaskContext) -> TaskData:
    """A pool is the target and its gallery. As the authors do, samples whose gallery has another size are left out."""
    folder, objects = DataFolder(spec, context), bool(spec.params["objects"])
    file = f"genecis/{spec.params['file']}.json"
    entries = rows(folder, file, {"condition": str, "reference": dict, "target": dict, "gallery": list})
    usual = Counter(len(row["gallery"]) for row in entries).most_common(1)[0][0]
    used = {number: row for number, row in enumerate(entries) if len(row["gallery"]) == usual}
    skipped = [Skip(f"{n:04d}", f"its gallery is not of {usual}") for n in range(len(entries)) if n not in used]
    folder.count("queries", len(used))
    candidates: dict[str, Candidate] = {}
    queries = []
    for number, row in list(used.items())[: context.limit]:
        where = f"{file}, entry {number}"
        pool = [_thing(folder, item, objects, where) for item in (row["target"], *row["gallery"])]
        for key, image in pool:
            candidates.setdefault(key, Candidate(key, (Input(image=image),)))
        reference, image = _thing(folder, row["reference"], objects, where)
        queries.append(
            Query(
                key=f"{number:04d}",
                input=Input(row["condition"], image),
                relevance={pool[0][0]: 1.0},
                candidates=tuple(dict.fromkeys(key for key, _ in pool)),
                cluster=reference.partition("/")[0],
            )
        )
    notes = ["the text is the condition alone, a word or two"]
    if not objects:
        notes.append("boxes are dilated by 0.7, cut out and padded to squares as the authors' code does")
    return TaskData(tuple(queries), candidates, tuple(skipped), tuple(notes))


def _thing(folder: DataFolder, item: Any, objects: bool, where: str) -> tuple[str, ImageRef]:
    """(key, picture) of a COCO picture, or of an object in one of Visual Genome; equal ones have equal keys."""
    if objects:
        number = folder.require(item, {"val_image_id": int}, where)["val_image_id"]
        return str(number), folder.image(f"coco/val2017/{number:012d}.jpg")
    folder.require(item, {"image_id": (int, str), "instance_bbox": list}, where)
    name, box = str(item["image_id"]), item["instance_bbox"]
    if len(box) != 4 or not all(isinstance(side, int | float) and not isinstance(side, bool) for side in box):
        raise UserError(f"{where}: instance_bbox is not [left, top, width, height]")
    key = f"{name}/{','.join(map(str, box))}"
    return key, _visual_genome(folder, name).then(step(*box))


def _visual_genome(folder: DataFolder, number: str) -> ImageRef:
    """The publisher has its photos in two folders, and a photo's number does not say in which."""
    first, second = (f"{file.path}/{number}.jpg" for file in _VISUAL_GENOME)
    try:
        return folder.image(first)
    except UserError:
        return folder.image(second)
