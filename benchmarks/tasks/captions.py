"""Caption retrieval on Karpathy's test splits: COCO (5000 pictures, all 25,010 captions) and Flickr30k (1000, 5000)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, Skip, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

ALSO = ("hit@5", "hit@10", "mrr", "strict@1")

KARPATHY = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
_SPLITS = "Karpathy and Fei-Fei, Deep Visual-Semantic Alignments for Generating Image Descriptions, arXiv 1412.2306"

DIRECTIONS = {
    "i2t": "which captions describe the picture? (a hit is any of its own)",
    "t2i": "which picture does the caption describe?",
}

_SETS: dict[str, dict[str, Any]] = {
    "coco": {
        "source": "COCO Captions, Karpathy's test split",
        "citation": f"Chen et al., Microsoft COCO Captions, arXiv 1504.00325; {_SPLITS}",
        "licence": "annotations CC BY 4.0; pictures under Flickr's terms",
        "counts": (5000, 25_010),
        "pictures": DataFile("coco/val2014", "http://images.cocodataset.org/zips/val2014.zip", member="val2014"),
    },
    "flickr30k": {
        "source": "Flickr30k, Karpathy's test split",
        "citation": f"Young et al., From image descriptions to visual denotations, TACL 2014; {_SPLITS}",
        "licence": "for non-commercial research and education; pictures under Flickr's terms",
        "counts": (1000, 5000),
        "pictures": DataFile(
            "flickr30k/flickr30k-images",
            how="fill in the form at shannon.cs.illinois.edu/DenotationGraph and unpack its archive of pictures there",
        ),
    },
}

ROWS = tuple(
    TaskSpec(
        name=f"{name}/{direction}",
        version=1,
        loader="benchmarks.tasks.captions:karpathy",
        description=description,
        also=ALSO,
        modalities="image -> text" if direction == "i2t" else "text -> image",
        source=made["source"],
        citation=made["citation"],
        licence=made["licence"],
        counts=dict(zip(("queries", "candidates"), made["counts"][:: 1 if direction == "i2t" else -1], strict=True)),
        files=(
            DataFile(f"{name}/dataset_{name}.json", KARPATHY, member=f"dataset_{name}.json", annotations=True),
            made["pictures"],
        ),
        unverified=True,
        params={"set": name, "direction": direction},
    )
    for name, made in _SETS.items()
    for direction, description in DIRECTIONS.items()
)


@dataclass(frozen=True)
class Captioned:
    """A picture and all its captions."""

    key: str
    image: ImageRef
    captions: Sequence[str]


def karpathy(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`coco/*` and `flickr30k/*`: the entries of split "test", every caption kept (some pictures have six or seven)."""
    folder = DataFolder(spec, context)
    file = f"{spec.params['set']}/dataset_{spec.params['set']}.json"
    pictures = list(islice(_entries(folder, file), context.limit))
    data = retrieval(pictures, str(spec.params["direction"]), context.limit is not None)
    if context.limit is None:
        folder.count("queries", len(data.queries))
        folder.count("candidates", len(data.candidates))
    return data


def retrieval(pictures: Sequence[Captioned], direction: str, limited: bool = False) -> TaskData:
    """Pictures rank all captions ("i2t") or captions all pictures ("t2i"); the gallery is all that is given.

    Captions of the same words are one bundle. A picture without captions is skipped. Raises UserError where nothing is
    left or two pictures have one key.
    """
    skipped = tuple(Skip(item.key, "it has no caption") for item in pictures if not item.captions)
    pictures = [item for item in pictures if item.captions]
    if not pictures:
        raise UserError("there is no picture with a caption in this set; get its files again")
    if len({item.key for item in pictures}) != len(pictures):
        raise UserError("two pictures of this set have one name; get its files again")
    shown = {item.key: Input(image=item.image) for item in pictures}
    said = {
        f"{item.key}#{number}": (item.key, Input(caption))
        for item in pictures
        for number, caption in enumerate(item.captions)
    }
    notes = (f"the gallery is that of the first {len(pictures)} pictures only",) if limited else ()
    if direction == "t2i":
        queries = [Query(key, text, {item: 1.0}, cluster=item) for key, (item, text) in said.items()]
        return TaskData(tuple(queries), {k: Candidate(k, (image,)) for k, image in shown.items()}, skipped, notes)
    own: dict[str, dict[str, float]] = {}
    for key, (item, _) in said.items():
        own.setdefault(item, {})[key] = 1.0
    queries = [Query(item, image, own[item], cluster=item) for item, image in shown.items()]
    return TaskData(tuple(queries), {k: Candidate(k, (text,)) for k, (_, text) in said.items()}, skipped, notes)


def _entries(folder: DataFolder, file: str) -> Iterator[Captioned]:
    content = folder.require(folder.json(file), {"images": list}, file)
    for number, row in enumerate(content["images"]):
        where = f"{file}, image {number}"
        folder.require(row, {"filename": str, "split": str, "sentences": list}, where)
        if row["split"] != "test":
            continue
        said = [folder.require(said, {"raw": str}, where)["raw"].strip() for said in row["sentences"]]
        home = row.get("filepath") or folder.spec.files[1].path.partition("/")[2]
        name = f"{folder.spec.params['set']}/{home}/{row['filename']}"
        yield Captioned(row["filename"], folder.image(name), [caption for caption in said if caption])
