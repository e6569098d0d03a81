"""ARO (attribution, relation, order): a picture's caption, or one with its parts or words in another order?

Formats, as the publisher's code reads them: `visual_genome_relation.json` and `visual_genome_attribution.json`,
[{image_path, bbox_x, bbox_y, bbox_w, bbox_h, true_caption, false_caption, relation_name | attributes: [a, b]}]; the
box is cut out first. That code shuffles the captions of the order sets anew at each load, without a seed, so no two
runs ask the same: here they are read from a file, [{image, caption, negatives: [text]}].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.skills import MOST_VALUES
from benchmarks.tasks.crops import Cropper, pixels
from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, Skip, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input, Scalar

CITATION = "ARO, ICLR 2023 (openreview KRLUvxh8uaX)"
CODE = "github.com/mertyg/vision-language-models-are-bows"
LEAST = 25
"""Entries that a relation or a pair of attributes needs for a figure of its own, as the publisher has it."""

BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")


def _pairs(name: str, file: str, description: str, kind: str) -> TaskSpec:
    return TaskSpec(
        name=f"aro/{name}",
        version=1,
        loader="benchmarks.tasks.aro:pairs",
        description=description,
        also=("strict@1",),
        modalities="image -> text",
        source="Visual Genome pictures, cut to the box",
        citation=CITATION,
        licence="as Visual Genome",
        chance=1 / 2,
        files=(
            DataFile(f"aro/{file}", how=f"the code at {CODE} downloads it; put it there", annotations=True),
            DataFile("aro/images", how=f"the code at {CODE} downloads vgr_vga_images.zip; unpack it there"),
        ),
        unverified=True,
        params={"file": f"aro/{file}", "kind": kind},
    )


def _order(name: str, pictures: DataFile, licence: str) -> TaskSpec:
    how = (
        f"write the test cases that the code at {CODE} makes once, as a JSON list of "
        '{"image", "caption", "negatives": [...]}: it shuffles anew at each load'
    )
    return TaskSpec(
        name=f"aro/{name.replace('_', '-')}",
        version=1,
        loader="benchmarks.tasks.aro:order",
        description="a picture: its caption or one of its shuffles?",
        also=("strict@1",),
        modalities="image -> text",
        source=pictures.path.partition("/")[0],
        citation=CITATION,
        licence=licence,
        files=(DataFile(f"aro/{name}.json", how=how, annotations=True), pictures),
        unverified=True,
        params={"file": f"aro/{name}.json", "images": pictures.path.partition("/")[0]},
    )


ROWS = (
    _pairs("vg-relation", "visual_genome_relation.json", "a crop: who does it to whom?", "relation_name"),
    _pairs(
        "vg-attribution", "visual_genome_attribution.json", "a crop: which thing has which attribute?", "attributes"
    ),
    _order(
        "coco_order",
        DataFile("coco/val2014", url="http://images.cocodataset.org/zips/val2014.zip", member="val2014"),
        "captions CC BY 4.0; pictures as listed by COCO",
    ),
    _order(
        "flickr30k_order",
        DataFile(
            "flickr30k/flickr30k-images", how="ask for Flickr30k at forms.illinois.edu/sec/229675; unpack it there"
        ),
        "research only, by request",
    ),
)


def pairs(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`aro/vg-relation` and `aro/vg-attribution`."""
    folder = DataFolder(spec, context)
    kind = str(spec.params["kind"])
    rows = _rows(folder, context.limit, "image_path")
    kinds = {key: _kind(folder, row, kind, where) for key, row, where in rows}
    shown = _frequent(list(kinds.values()))
    cropper = Cropper(folder)
    found = _Found()
    wanted: dict[str, Any] = dict.fromkeys(BOX, (int, float)) | {"true_caption": str, "false_caption": str}
    for key, row, where in rows:
        folder.require(row, wanted, where)
        left, top, width, height = (row[name] for name in BOX)
        box = pixels((left, top, left + width, top + height), where)
        image = cropper.cut(folder.image(f"aro/images/{row['image_path']}"), box, where)
        tag = {"relation" if kind == "relation_name" else kind: kinds[key] if kinds[key] in shown else "(rarer)"}
        found.add(key, image, row["true_caption"], [row["false_caption"]], row["image_path"], tag)
    return found.data(cropper.notes)


def order(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`aro/coco-order` and `aro/flickr30k-order`."""
    folder = DataFolder(spec, context)
    found = _Found()
    for key, row, where in _rows(folder, context.limit, "image"):
        folder.require(row, {"caption": str, "negatives": list}, where)
        if not all(isinstance(text, str) for text in row["negatives"]):
            raise UserError(f"{where}: 'negatives' is to be a list of texts")
        image = folder.image(f"{spec.params['images']}/{row['image']}")
        found.add(key, image, row["caption"], row["negatives"], row["image"], {})
    return found.data(("the shuffles are those of the file: scores on other shuffles cannot be compared",))


class _Found:
    """The questions so far. Texts that say the same are one candidate; an entry without a wrong one is skipped."""

    def __init__(self) -> None:
        self.queries: list[Query] = []
        self.candidates: dict[str, Candidate] = {}
        self.skipped: list[Skip] = []

    def add(
        self, key: str, image: ImageRef, right: str, wrong: Sequence[str], cluster: str, tags: Mapping[str, Scalar]
    ) -> None:
        if not right.strip():
            self.skipped.append(Skip(key, "the caption is empty"))
            return
        texts = [text for text in dict.fromkeys(wrong) if text.strip() and text != right]
        if len(texts) < len(wrong):
            why = "a negative is empty, the caption itself or another negative"
            self.skipped.append(Skip(key, why + ("" if texts else ": nothing is left to choose from")))
        if not texts:
            return
        keys = [f"{key}/caption", *(f"{key}/negative {number}" for number in range(len(texts)))]
        for name, text in zip(keys, [right, *texts], strict=True):
            self.candidates[name] = Candidate(name, (Input(text),))
        self.queries.append(Query(key, Input(image=image), {keys[0]: 1.0}, tuple(keys), cluster=cluster, tags=tags))

    def data(self, notes: tuple[str, ...]) -> TaskData:
        return TaskData(tuple(self.queries), self.candidates, tuple(self.skipped), notes)


def _rows(folder: DataFolder, limit: int | None, image: str) -> list[tuple[str, Any, str]]:
    """(key, entry, where it stands) of the entries on the first `limit` pictures."""
    file = str(folder.spec.params["file"])
    path = folder.path(file)
    content = folder.json(file)
    if not isinstance(content, list):
        raise UserError(f"{path}: a list of entries is needed here, not {type(content).__name__}; get the file again")
    rows = [(str(number), row, f"{path}, entry {number}") for number, row in enumerate(content)]
    names = [folder.require(row, {image: str}, where)[image] for _, row, where in rows]
    wanted = set(list(dict.fromkeys(names))[:limit])
    return [row for row, name in zip(rows, names, strict=True) if name in wanted]


def _kind(folder: DataFolder, row: Any, kind: str, where: str) -> str:
    """The relation, or the two attributes as the publisher writes them."""
    if kind == "relation_name":
        return str(folder.require(row, {kind: str}, where)[kind])
    both = folder.require(row, {kind: list}, where)[kind]
    if len(both) < 2:
        raise UserError(f"{where}: {kind!r} is to name two attributes, not {both!r}")
    return f"{both[0]}_{both[1]}"


def _frequent(kinds: list[str]) -> set[str]:
    """Those with a figure of their own: frequent enough, and as many as a curve shows beside the rest."""
    return {kind for kind, count in Counter(kinds).most_common(MOST_VALUES - 1) if count >= LEAST}
