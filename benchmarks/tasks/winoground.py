"""Winoground: two pictures, two captions with the same words; which belongs to which?

Read from parquet files with the columns image_0, image_1 (bytes inside), caption_0, caption_1 and tags. A group is a
row: each picture asks for its caption, and the joint matrix of the four scores gives the text, image and group score.
"""

from __future__ import annotations

from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, Skip, TaskContext, TaskData, TaskSpec
from datagen.sources.parquet_rows import Row, expand, image_ref, need_columns, rows, schema
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input, Scalar

IMAGES = ("image_0", "image_1")
CAPTIONS = ("caption_0", "caption_1")
TAGS = ("tag", "secondary_tag", "collapsed_tag", "num_main_preds")
"""Told in the skill curves where the files have them."""

ROWS = (
    TaskSpec(
        name="winoground",
        version=1,
        loader="benchmarks.tasks.winoground:load",
        description="two pictures, two captions with the same words: which belongs to which?",
        metric="group_score",
        also=("text_score", "image_score", "strict_group_score"),
        modalities="image -> text",
        source="Getty Images, by licence",
        citation="Winoground, arXiv 2204.03162",
        licence="research only, by the publisher's licence",
        chance=1 / 6,
        files=(
            DataFile(
                "winoground",
                how="accept the licence at huggingface.co/datasets/facebook/winoground and put its rows there as "
                "parquet files with the image bytes inside",
                annotations=True,
            ),
        ),
        unverified=True,
    ),
)


def load(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`winoground`. Raises UserError where files or columns are missing."""
    folder = DataFolder(spec, context)
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    skipped: list[Skip] = []
    number = 0
    for path in expand(".", folder.path("winoground")):
        need_columns(path, (*IMAGES, *CAPTIONS))
        tags = [name for name in TAGS if name in schema(path).names]
        # Where only annotations are read, the columns with the pictures are left alone.
        for row in rows(path, (*(() if folder.blind else IMAGES), *CAPTIONS, *tags)):
            if context.limit is not None and number >= context.limit:
                break
            key, number = str(number), number + 1
            texts = [row.values[name] for name in CAPTIONS]
            if not all(isinstance(text, str) and text.strip() for text in texts) or texts[0] == texts[1]:
                skipped.append(Skip(key, "a caption is empty or both are the same"))
                continue
            images = [_image(folder, row, name, key) for name in IMAGES]
            keys = [f"{key}/{name}" for name in CAPTIONS]
            candidates |= {name: Candidate(name, (Input(text),)) for name, text in zip(keys, texts, strict=True)}
            told = {name: _scalar(row.values[name]) for name in tags if row.values[name] is not None}
            for name, image, answer in zip(IMAGES, images, keys, strict=True):
                queries.append(
                    Query(
                        key=f"{key}/{name}",
                        input=Input(image=image),
                        relevance={answer: 1.0},
                        candidates=tuple(keys),
                        group=key,
                        cluster=key,
                        tags=told,
                    )
                )
    return TaskData(tuple(queries), candidates, tuple(skipped))


def _image(folder: DataFolder, row: Row, column: str, key: str) -> ImageRef:
    if folder.blind:
        return folder.image(f"winoground/{key}/{column}")
    try:
        return image_ref(row, column)
    except UserError as error:
        raise UserError(f"{row.path}, row {row.number}: {error}") from error


def _scalar(value: object) -> Scalar:
    return value if isinstance(value, bool | int | float | str) else str(value)
