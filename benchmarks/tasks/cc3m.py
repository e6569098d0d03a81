"""Tasks on CC3M: the paper's own TGIT test on its validation pictures (FuseLIP, section 4), and questions of ours.

`cc3m_val_tgit_indices.json` is the paper's list of rows of the authors' own cleaned `val.csv` (path,caption). The order
of that file is that of a directory listing: the list says nothing about any other copy of CC3M.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tasks.folder import DataFolder
from benchmarks.tasks.held_out_vqa import Asked, clean_answer, is_held_out, questions
from benchmarks.tasks.tgit import PAPER, QUESTIONS, paper_pools
from benchmarks.types import DataFile, TaskContext, TaskData, TaskSpec
from datagen.sources.types import SourceItem
from fuselip.core.errors import UserError

INDICES = "cc3m_val_tgit_indices.json"
REPOSITORY = "the paper's repository (github.com/chs20/fuselip)"
LICENCE = "CC3M: its publisher's terms; pictures belong to their owners"
LINKED = f"the authors' own file; {REPOSITORY} links to it"

ROWS = (
    *(
        TaskSpec(
            name=f"tgit-cc3m/{family}",
            version=1,
            loader="benchmarks.tasks.cc3m:tgit",
            description=f"[the paper's own 1000 pictures] {question}",
            source="CC3M, the authors' val.csv",
            citation=PAPER,
            licence=LICENCE,
            counts={"rows": 1000},
            files=(
                DataFile(INDICES, how=f"the first 1000 entries of the list in {REPOSITORY}, as JSON", annotations=True),
                DataFile(
                    "cc3m/val.csv", how=f"{LINKED} (no other CC3M file has its rows in this order)", annotations=True
                ),
                DataFile("cc3m", how="put the pictures that val.csv names beside it, under the paths that it gives"),
            ),
            unverified=True,
            params={"family": family},
        )
        for family, question in QUESTIONS.items()
    ),
    TaskSpec(
        name="cc3m/vqa",
        version=1,
        loader="benchmarks.tasks.cc3m:vqa",
        description="[ours] a picture and a question made of its caption: which of ten answers?",
        also=("hit@5", "strict@1", "mrr"),
        modalities="image+text -> text",
        source="CC3M-VQA, the questions on one picture in 100",
        citation="held out by fuselip; CC3M-VQA of " + PAPER,
        licence=LICENCE,
        files=(
            DataFile(
                "cc3m/vqa.csv", how=f"CC3M-VQA (path,question,answer) under this name: {LINKED}", annotations=True
            ),
            DataFile("cc3m", how="put the pictures that vqa.csv names beside it, under the paths that it gives"),
        ),
        unverified=True,
        params={"one in": 100},
    ),
)


def tgit(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`tgit-cc3m/<family>`. Raises UserError for a val.csv that cannot be the authors', or that lacks a picture."""
    folder = DataFolder(spec, context)
    family = str(spec.params["family"])
    indices = _indices(folder)
    paths = [row["path"] or "" for row in folder.csv("cc3m/val.csv", ("path", "caption"))]
    if max(indices) >= len(paths):
        raise UserError(
            f"{folder.path('cc3m/val.csv')} has {len(paths)} rows, and the paper's list names row {max(indices)}: "
            f"it is not the authors' file; {LINKED}"
        )
    items = [
        SourceItem(str(index), folder.image(f"cc3m/{paths[index]}"), origin=paths[index])
        for index in indices[: context.limit]
    ]
    queries, candidates = paper_pools(items, family, context.seed, draw_for=len(indices))
    notes = ("the paper's 1000 rows of the authors' val.csv, drawn as its evaluation draws after one seed",)
    return TaskData(queries, candidates, (), notes)


def vqa(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`cc3m/vqa`: see `held_out_vqa`."""
    folder = DataFolder(spec, context)
    one_in = int(spec.params["one in"])
    return questions(
        _asked(folder, one_in), lambda path: folder.image(f"cc3m/{path}"), context.limit, context.seed, one_in
    )


def _asked(folder: DataFolder, one_in: int) -> Iterator[Asked]:
    for row in folder.csv("cc3m/vqa.csv", ("path", "question", "answer")):
        path, question, answer = (str(row[name] or "").strip() for name in ("path", "question", "answer"))
        if path and question and clean_answer(answer) and is_held_out(path, one_in):
            yield Asked(path, question, clean_answer(answer))


def _indices(folder: DataFolder) -> list[int]:
    indices = folder.json(INDICES)
    valid = isinstance(indices, list) and all(type(index) is int and index >= 0 for index in indices)
    if not valid or not indices or len(set(indices)) < len(indices):
        raise UserError(f"{folder.path(INDICES)} is not a list of different row numbers; get it again")
    folder.count("rows", len(indices))
    return list(indices)
