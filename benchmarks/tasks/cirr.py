"""CIRR: find the photo that a sentence makes of another, among a split's or five look-alikes (arXiv 2108.04024)."""

from __future__ import annotations

from pathlib import PurePosixPath

from benchmarks.tasks.composed import fresh, gallery, picture, rows, strings
from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import Input

REVISION = "910278c29d2a5602eae0119d6af906c3bae366bc"
_RAW = f"https://raw.githubusercontent.com/Cuberick-Orion/CIRR/{REVISION}"
_IMAGES = DataFile(
    "cirr/images",
    how="CIRR's photos are those of NLVR2: fill in the form linked at https://lil.nlp.cornell.edu/nlvr/ and put its "
    "folders dev and test1 into cirr/images",
)
_COUNTS = {"val": {"queries": 4181, "candidates": 2297}, "test1": {"queries": 4148, "candidates": 2315}}
MEMBERS = 6


def _files(split: str) -> tuple[DataFile, ...]:
    names = (f"captions/cap.rc2.{split}.json", f"image_splits/split.rc2.{split}.json")
    return (*(DataFile(f"cirr/{name}", f"{_RAW}/{name}", annotations=True) for name in names), _IMAGES)


def _row(name: str, split: str, description: str, subset: bool) -> TaskSpec:
    server = {"server": "cirr-recall_subset" if subset else "cirr-recall"} if split == "test1" else {}
    return TaskSpec(
        name=name,
        version=1,
        loader="benchmarks.tasks.cirr:load",
        description=description,
        metric="hit@1",
        also=("hit@2", "hit@3") if subset else ("hit@5", "hit@10", "hit@50"),
        source="https://github.com/Cuberick-Orion/CIRR (branch cirr_dataset, version rc2)",
        citation="Liu et al., Image Retrieval on Real-life Images (CIRR), ICCV 2021, arXiv 2108.04024",
        licence="annotations MIT; photos under NLVR2's terms",
        revision=REVISION,
        chance=1 / (MEMBERS - 1) if subset else 1 / (_COUNTS[split]["candidates"] - 1),
        counts=_COUNTS[split],
        files=_files(split),
        params={"split": split, "subset": subset, **server},
    )


ROWS = (
    _row("cirr/val", "val", "which photo of all is this one, changed as the sentence says?", False),
    _row("cirr/val-subset", "val", "which of five look-alikes is this photo, changed as the sentence says?", True),
    _row("cirr/test", "test1", "[answers at the server] as cirr/val, on the test split", False),
    _row("cirr/test-subset", "test1", "[answers at the server] as cirr/val-subset, on the test split", True),
)


def load(spec: TaskSpec, context: TaskContext) -> TaskData:
    """The reference is never among the candidates. Right is `target_hard` alone; the test split does not have it."""
    folder, split, subset = DataFolder(spec, context), str(spec.params["split"]), bool(spec.params["subset"])
    file = f"cirr/captions/cap.rc2.{split}.json"
    kinds: dict[str, type | tuple[type, ...]] = {"pairid": int, "reference": str, "caption": str, "img_set": dict}
    if split == "val":
        kinds["target_hard"] = str
    entries = rows(folder, file, kinds)
    folder.count("queries", len(entries))
    candidates = gallery(folder, _places(folder, split))
    folder.count("candidates", len(candidates))
    seen: set[str] = set()
    queries = []
    for row in entries[: context.limit]:
        where = f"{file}, pair {row['pairid']}"
        reference, target = row["reference"], row.get("target_hard")
        members = strings(row["img_set"].get("members"), where)
        pool = tuple(dict.fromkeys(name for name in members if name != reference))
        if target is not None and (target == reference or (subset and target not in pool)):
            raise UserError(f"{where}: its answer {target!r} is not among the candidates; the file was edited")
        for name in (*pool, *([target] if target else [])):
            picture(candidates, name, where)
        queries.append(
            Query(
                key=fresh(str(row["pairid"]), seen, where),
                input=Input(row["caption"], picture(candidates, reference, where)),
                relevance={} if target is None else {target: 1.0},
                candidates=pool if subset else None,
                exclude=frozenset() if subset else frozenset({reference}),
                cluster=reference,
            )
        )
    notes = ["the reference photo is not among the candidates", "right is target_hard alone, not target_soft"]
    return TaskData(tuple(queries), _asked(queries, candidates) if subset else candidates, notes=tuple(notes))


def _places(folder: DataFolder, split: str) -> dict[str, str]:
    name = f"cirr/image_splits/split.rc2.{split}.json"
    found = folder.json(name)
    if not isinstance(found, dict) or not all(isinstance(place, str) for place in found.values()):
        raise UserError(f"{folder.path(name)} is not a table of picture names and their paths; get it again")
    return {key: str(PurePosixPath("cirr/images") / place) for key, place in found.items()}


def _asked(queries: list[Query], candidates: dict[str, Candidate]) -> dict[str, Candidate]:
    """Only the candidates that some query ranks: no others need to be embedded."""
    wanted = {key for query in queries for key in query.candidates or ()}
    return {key: candidate for key, candidate in candidates.items() if key in wanted}
