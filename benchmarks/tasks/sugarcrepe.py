"""SugarCrepe and SugarCrepe++: is a picture, or a caption, closer to what is true of it than to a hard negative?

Formats: SugarCrepe {"0": {filename, caption, negative_caption}}, SugarCrepe++ [{id, filename, caption, caption2,
negative_caption}], both about COCO val2017. Ids have gaps. An entry with two equal captions asks
nothing and is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, Skip, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import Input, Scalar

SUBSETS = {
    "add_att": (692, "an attribute is added"),
    "add_obj": (2062, "an object is added"),
    "replace_att": (788, "an attribute is replaced"),
    "replace_obj": (1652, "an object is replaced"),
    "replace_rel": (1406, "a relation is replaced"),
    "swap_att": (666, "two attributes are swapped"),
    "swap_obj": (245, "two objects are swapped"),
}
"""Entries of a subset (both editions; SugarCrepe++ has no add_*), and what makes its negatives wrong."""

COCO = DataFile("coco/val2017", url="http://images.cocodataset.org/zips/val2017.zip", member="val2017")
TEXTS = ("caption", "caption2", "negative_caption")


def _file(subset: str) -> DataFile:
    url = f"https://raw.githubusercontent.com/RAIVNLab/sugar-crepe/main/data/{subset}.json"
    return DataFile(f"sugarcrepe/{subset}.json", url=url, annotations=True)


def _file_pp(subset: str) -> DataFile:
    how = f"copy {subset}.json from the folder data of github.com/Sri-Harsha/scpp there"
    return DataFile(f"sugarcrepe_pp/{subset}.json", how=how, annotations=True)


def _rows() -> Iterator[TaskSpec]:
    plain: dict[str, Any] = {"version": 1, "source": "COCO val2017", "citation": "SugarCrepe, NeurIPS 2023"}
    for subset, (entries, change) in SUBSETS.items():
        yield TaskSpec(
            name=f"sugarcrepe/{subset}",
            loader="benchmarks.tasks.sugarcrepe:image_to_text",
            description=f"a picture: its caption or one in which {change}?",
            also=("strict@1",),
            modalities="image -> text",
            licence="captions MIT; pictures as listed by COCO",
            chance=1 / 2,
            counts={"entries": entries},
            files=(_file(subset), COCO),
            params={"file": f"sugarcrepe/{subset}.json"},
            **plain,
        )
    for subset, (entries, change) in SUBSETS.items():
        if subset.startswith("add"):
            continue
        common: dict[str, Any] = {
            "licence": "captions CC BY 4.0; pictures as listed by COCO",
            "chance": 1 / 3,
            "counts": {"entries": entries},
            "params": {"file": f"sugarcrepe_pp/{subset}.json"},
            **plain | {"citation": "SugarCrepe++, arXiv 2406.11171"},
        }
        yield TaskSpec(
            name=f"sugarcrepe-pp/{subset}",
            loader="benchmarks.tasks.sugarcrepe:image_to_text",
            description=f"a picture: both of its captions before one in which {change}?",
            metric="itt",
            also=("strict_itt", "hit@1"),
            modalities="image -> text",
            files=(_file_pp(subset), COCO),
            **common,
        )
        yield TaskSpec(
            name=f"sugarcrepe-pp-tot/{subset}",
            loader="benchmarks.tasks.sugarcrepe:text_only",
            description=f"two captions that say the same: closer than each is to one in which {change}?",
            metric="tot",
            also=("strict_tot", "hit@1"),
            modalities="text -> text",
            files=(_file_pp(subset),),
            **common,
        )


ROWS = tuple(sorted(_rows(), key=lambda spec: spec.name.partition("/")[0]))


def image_to_text(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`sugarcrepe/<subset>` and, with two right captions, `sugarcrepe-pp/<subset>`."""
    folder = DataFolder(spec, context)
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    entries, skipped = _entries(folder, context.limit)
    for key, filename, texts in entries:
        keys = _candidates(key, texts, candidates)
        right = [keys[name] for name in texts if name != "negative_caption"]
        queries.append(
            Query(
                key=key,
                input=Input(image=folder.image(f"coco/val2017/{filename}")),
                relevance=dict.fromkeys(right, 1.0),
                candidates=tuple(keys.values()),
                cluster=filename,
                tags=_tags(texts),
            )
        )
    return TaskData(tuple(queries), candidates, skipped)


def text_only(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`sugarcrepe-pp-tot/<subset>`: each right caption of an entry asks for the other; a group is an entry."""
    folder = DataFolder(spec, context)
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    entries, skipped = _entries(folder, context.limit)
    for key, filename, texts in entries:
        keys = _candidates(key, texts, candidates)
        for own, other in (("caption", "caption2"), ("caption2", "caption")):
            queries.append(
                Query(
                    key=keys[own],
                    input=Input(texts[own]),
                    relevance={keys[other]: 1.0},
                    candidates=(keys[other], keys["negative_caption"]),
                    group=key,
                    cluster=filename,
                    tags={"self": keys[own]} | _tags(texts),
                )
            )
    return TaskData(tuple(queries), candidates, skipped)


def _candidates(key: str, texts: dict[str, str], found: dict[str, Candidate]) -> dict[str, str]:
    """Candidate key by name of text; the candidates join `found`."""
    keys = {name: f"{key}/{name}" for name in texts}
    found |= {keys[name]: Candidate(keys[name], (Input(text),)) for name, text in texts.items()}
    return keys


def _tags(texts: dict[str, str]) -> dict[str, Scalar]:
    """The shortcuts these sets are known for: a right caption that is shorter, or of which only the order tells."""
    right, wrong = texts["caption"], texts["negative_caption"]
    length = "shorter" if len(right) < len(wrong) else "longer" if len(right) > len(wrong) else "as long"
    words = [sorted(text.lower().replace(",", "").strip(". ").split()) for text in (right, wrong)]
    return {"right caption is": length, "same words": words[0] == words[1]}


def _entries(folder: DataFolder, limit: int | None) -> tuple[list[tuple[str, str, dict[str, str]]], tuple[Skip, ...]]:
    """(key, file name, text by name) of the entries on the first `limit` pictures, and those that ask nothing."""
    file = str(folder.spec.params["file"])
    path = folder.path(file)
    content = folder.json(file)
    if not isinstance(content, dict | list):
        raise UserError(f"{path}: entries by their number, or a list of them, are needed here; get the file again")
    rows = list(content.items()) if isinstance(content, dict) else [(_id(folder, row, path), row) for row in content]
    folder.count("entries", len(rows))
    names = [name for name in TEXTS if name != "caption2" or folder.spec.name.startswith("sugarcrepe-pp")]
    found, skipped = [], []
    pictures: dict[str, None] = {}
    for key, row in rows:
        folder.require(row, dict.fromkeys(["filename", *names], str), f"{path}, entry {key}")
        texts = {name: row[name] for name in names}
        if row["filename"] not in pictures and len(pictures) == limit:
            continue
        pictures[row["filename"]] = None
        if len(set(texts.values())) < len(texts):
            skipped.append(Skip(key, "two of its captions are the same text"))
        elif not all(text.strip() for text in texts.values()):
            skipped.append(Skip(key, "a caption is empty"))
        else:
            found.append((key, row["filename"], texts))
    return found, tuple(skipped)


def _id(folder: DataFolder, row: Any, path: Any) -> str:
    return str(folder.require(row, {"id": int}, f"{path}, an entry")["id"])
