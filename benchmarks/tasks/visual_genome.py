"""Visual Genome: the crop that a phrase describes (VG-Crop, FuseLIP, section 4), and held-out questions of ours.

Formats: `region_descriptions_test.json` (the paper's own split)
[{id, regions: [{image_id, x, y, width, height, phrase}]}] and `question_answers.json`
[{id, qas: [{image_id, question, answer}]}]. Pictures are images/ID.jpg, VG_100K/ID.jpg or
VG_100K_2/ID.jpg.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.tasks.crops import Cropper, pixels
from benchmarks.tasks.folder import DataFolder
from benchmarks.tasks.held_out_vqa import Asked, clean_answer, is_held_out, questions
from benchmarks.types import Candidate, DataFile, Query, Skip, TaskContext, TaskData, TaskSpec
from datagen.boxes import thin
from datagen.sources.json_array import elements
from datagen.sources.visual_genome import FOLDERS
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

SMALLEST = 32
"""Regions are wider and higher than so many pixels."""

MAX_IOU = 0.3
IMAGES = 100
BOX = ("x", "y", "width", "height")
ANNOTATIONS = "https://homes.cs.washington.edu/~ranjay/visualgenome/data/dataset"
LICENCE = "Visual Genome, CC BY 4.0"

_PICTURES = (
    DataFile("vg/VG_100K", url="https://cs.stanford.edu/people/rak248/VG_100K_2/images.zip", member="VG_100K"),
    DataFile("vg/VG_100K_2", url="https://cs.stanford.edu/people/rak248/VG_100K_2/images2.zip", member="VG_100K_2"),
)

ROWS = (
    TaskSpec(
        name="vg/crop",
        version=1,
        loader="benchmarks.tasks.visual_genome:crop",
        description="a picture and a phrase: which of the picture's regions does it describe?",
        also=("hit@5", "strict@1", "mrr"),
        source="Visual Genome, the paper's test split",
        citation="FuseLIP, arXiv 2506.03096; Visual Genome",
        licence=LICENCE,
        files=(
            DataFile(
                "vg/region_descriptions_test.json",
                how="the paper's split of Visual Genome; its repository (github.com/chs20/fuselip) links to it",
                annotations=True,
            ),
            *_PICTURES,
        ),
        unverified=True,
    ),
    TaskSpec(
        name="vg/vqa",
        version=1,
        loader="benchmarks.tasks.visual_genome:vqa",
        description="[ours] a picture and a question: which of ten answers?",
        also=("hit@5", "strict@1", "mrr"),
        modalities="image+text -> text",
        source="Visual Genome, the questions on one picture in 100",
        citation="held out by fuselip; Visual Genome",
        licence=LICENCE,
        files=(
            DataFile(
                "vg/question_answers.json",
                url=f"{ANNOTATIONS}/question_answers.json.zip",
                member="question_answers.json",
                annotations=True,
            ),
            *_PICTURES,
        ),
        unverified=True,
        params={"one in": 100},
    ),
)


def crop(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`vg/crop`: the first 100 pictures of the split; the score is the mean over regions (micro average).

    Within a picture, regions over 32 pixels are gone through in the file's order, and one that overlaps an earlier
    one by more than 0.3 (intersection over union) is left out.
    """
    folder = DataFolder(spec, context)
    path = folder.path("vg/region_descriptions_test.json")
    cropper = Cropper(folder)
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    skipped: list[Skip] = []
    count = alone = 0
    for number, record in enumerate(elements(path)):
        if count == min(IMAGES, IMAGES if context.limit is None else context.limit):
            break
        where = f"{path}, record {number}"
        regions = _regions(folder, record, where)
        if not regions:
            continue
        picture = str(regions[0]["image_id"])
        image = _picture(folder, picture)
        found: dict[str, tuple[str, ImageRef]] = {}
        for region in regions:
            left, top, width, height = (region[name] for name in BOX)
            box = pixels((left, top, left + width, top + height), where)
            found[f"{picture}/{'-'.join(map(str, box))}"] = region["phrase"], cropper.cut(image, box, where)
        count, alone = count + 1, alone + (len(found) == 1)
        candidates |= {key: Candidate(key, (Input(image=part),)) for key, (_, part) in found.items()}
        for key, (phrase, _) in found.items():
            if not phrase.strip():
                skipped.append(Skip(key, "its phrase is empty"))
                continue
            queries.append(Query(key, Input(phrase, image), {key: 1.0}, tuple(found), cluster=picture))
    notes = [f"regions over {SMALLEST} pixels, thinned to an overlap of {MAX_IOU}; the first {IMAGES} pictures"]
    if alone:
        notes.append(f"{alone} pictures have one region left: its question cannot be missed, and counts in the chance")
    return TaskData(tuple(queries), candidates, tuple(skipped), (*notes, *cropper.notes))


def vqa(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`vg/vqa`: see `held_out_vqa`."""
    folder = DataFolder(spec, context)
    one_in = int(spec.params["one in"])
    return questions(
        _asked(folder, one_in), lambda picture: _picture(folder, picture), context.limit, context.seed, one_in
    )


def _asked(folder: DataFolder, one_in: int) -> Iterator[Asked]:
    path = folder.path("vg/question_answers.json")
    for number, record in enumerate(elements(path)):
        where = f"{path}, record {number}"
        for row in folder.require(record, {"qas": list}, where)["qas"]:
            folder.require(row, {"image_id": int, "question": str, "answer": str}, where)
            if is_held_out(str(row["image_id"]), one_in):
                question, answer = row["question"].strip(), clean_answer(row["answer"])
                if question and answer:
                    yield Asked(str(row["image_id"]), question, answer)


def _regions(folder: DataFolder, record: Any, where: str) -> list[dict[str, Any]]:
    """The regions of a record that are large enough, thinned."""
    kinds: dict[str, Any] = dict.fromkeys(BOX, (int, float)) | {"image_id": int, "phrase": str}
    rows = folder.require(record, {"regions": list}, where)["regions"]
    for row in rows:
        folder.require(row, kinds, where)
        if row["image_id"] != rows[0]["image_id"]:
            raise UserError(f"{where}: its regions are of several pictures; get the file again")
    large = [row for row in rows if row["width"] > SMALLEST and row["height"] > SMALLEST]
    boxes = [(row["x"], row["y"], row["x"] + row["width"], row["y"] + row["height"]) for row in large]
    return [large[index] for index in thin(boxes, MAX_IOU)]


def _picture(folder: DataFolder, picture: str) -> ImageRef:
    """ID.jpg in whichever folder it is; where it is in none, the error names the first folder of the archives."""
    for place in () if folder.blind else FOLDERS:
        try:
            folder.path(f"vg/{place}/{picture}.jpg")
        except UserError:
            continue
        return folder.image(f"vg/{place}/{picture}.jpg")
    return folder.image(f"{_PICTURES[0].path}/{picture}.jpg")
