"""FashionIQ: find the garment that two remarks make of another (arXiv 1905.12794), in either of its two galleries."""

from __future__ import annotations

from benchmarks.tasks.composed import gallery, picture, rows, strings
from benchmarks.tasks.folder import DataFolder
from benchmarks.types import DataFile, Query, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import Input

# Queries and gallery of the validation split, per kind of garment.
_COUNTS = {"dress": (2017, 3817), "shirt": (2038, 6346), "toptee": (1961, 5373)}
_REPOSITORY = "https://github.com/XiaoxiaoGuo/fashion-iq"


def _files(kind: str, whole: bool) -> tuple[DataFile, ...]:
    how = f"copy it from {_REPOSITORY}"
    captions = DataFile(f"fashioniq/captions/cap.{kind}.val.json", how=how, annotations=True)
    split = DataFile(f"fashioniq/image_splits/split.{kind}.val.json", how=how, annotations=True)
    images = DataFile(
        "fashioniq/images",
        how="get the photos by the lists of https://github.com/hongwang600/fashion-iq-metadata, as "
        "fashioniq/images/ASIN.jpg",
    )
    return (captions, split, images) if whole else (captions, images)


def _row(kind: str, whole: bool) -> TaskSpec:
    queries, candidates = _COUNTS[kind]
    return TaskSpec(
        name=f"{'fashioniq' if whole else 'fashioniq-val-protocol'}/{kind}",
        version=1,
        loader="benchmarks.tasks.fashioniq:load",
        description=f"{'' if whole else '[smaller gallery of the VAL paper] '}which {kind} is this one, changed as "
        "two remarks say?",
        metric="hit@10_50",
        also=("hit@10", "hit@50"),
        source=_REPOSITORY,
        citation="Wu et al., Fashion IQ, CVPR 2021, arXiv 1905.12794"
        + ("" if whole else "; gallery of Chen et al., Visiolinguistic Attention Learning (VAL), CVPR 2020"),
        licence="annotations CDLA; photos under the shop's terms",
        counts={"queries": queries, **({"candidates": candidates} if whole else {})},
        files=_files(kind, whole),
        unverified=True,
        params={"kind": kind, "whole": whole},
    )


ROWS = tuple(_row(kind, whole) for whole in (True, False) for kind in _COUNTS)


def load(spec: TaskSpec, context: TaskContext) -> TaskData:
    """The reference stays among the candidates; the two remarks are joined in the file's order by "and"."""
    folder, kind, whole = DataFolder(spec, context), str(spec.params["kind"]), bool(spec.params["whole"])
    file = f"fashioniq/captions/cap.{kind}.val.json"
    entries = rows(folder, file, {"candidate": str, "target": str, "captions": list})
    folder.count("queries", len(entries))
    if whole:
        split = f"fashioniq/image_splits/split.{kind}.val.json"
        names = strings(folder.json(split), split)
    else:
        names = [row[key] for row in entries for key in ("candidate", "target")]
    candidates = gallery(folder, {name: f"fashioniq/images/{name}.jpg" for name in names})
    folder.count("candidates", len(candidates))
    queries = []
    for number, row in enumerate(entries[: context.limit]):
        where = f"{file}, entry {number}"
        picture(candidates, row["target"], where)
        queries.append(
            Query(
                key=f"{number:04d}-{row['candidate']}-{row['target']}",
                input=Input(_joined(row["captions"], where), picture(candidates, row["candidate"], where)),
                relevance={row["target"]: 1.0},
                cluster=row["candidate"],
            )
        )
    notes = (
        'the two remarks are joined by "and" in the order of the file, without their final stops; others also take '
        "them in both orders, or one by one",
        "the reference photo stays among the candidates",
        "the gallery is the split's file"
        if whole
        else "the gallery is the union of reference and target photos: smaller than the split, so scores are higher",
    )
    return TaskData(tuple(queries), candidates, notes=notes)


def _joined(captions: list[str], where: str) -> str:
    if len(strings(captions, where)) != 2:
        raise UserError(f"{where}: two captions are needed, not {len(captions)}")
    return " and ".join(caption.strip(".?, ") for caption in captions)
