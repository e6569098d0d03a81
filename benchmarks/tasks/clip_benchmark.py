"""Any set in the layout of CLIP_benchmark's webdatasets (`wds/NAME`): tars of pictures with classes or captions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

from benchmarks.tasks.captions import ALSO as RETRIEVAL
from benchmarks.tasks.captions import DIRECTIONS, Captioned, retrieval
from benchmarks.tasks.folder import DataFolder
from benchmarks.tasks.zero_shot import ALSO, Labelled, check_label, classification, lines
from benchmarks.types import DataFile, TaskContext, TaskData, TaskSpec
from fuselip.core import images
from fuselip.core.archive import BadMember, Member, members, read_member
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, content_hash

IMAGES = ("webp", "png", "jpg", "jpeg")
MAX_TEXT_BYTES = 1 << 20
MAX_TARS = 100_000

ROWS: tuple[TaskSpec, ...] = ()
"""None: names are open-ended, see `row_for`."""

_KINDS = {
    "": ("classify", "which class, of the set's own prompts, does the picture show?"),
    "linear-probe": ("classify", "the class by logistic regression on the vectors of the training split"),
    **{direction: ("captions", description) for direction, description in DIRECTIONS.items()},
}


def row_for(name: str) -> TaskSpec | None:
    """`wds/NAME`, `wds/NAME/linear-probe`, `wds/NAME/i2t` and `wds/NAME/t2i`; NAME as in CLIP_benchmark (vtab/dtd)."""
    parts = name.split("/")
    kind = parts[-1] if parts[-1] in _KINDS else ""
    made = "-".join(parts[1 : -1 if kind else None])
    if parts[0] != "wds" or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", made):
        return None
    loader, description = _KINDS[kind]
    how = (
        f"`hf download clip-benchmark/wds_{made} --repo-type dataset --local-dir wds_{made}` in the data folder "
        "gets it, if CLIP_benchmark has published it"
    )
    return TaskSpec(
        name=name,
        version=1,
        loader=f"benchmarks.tasks.clip_benchmark:{loader}",
        description=description,
        also=RETRIEVAL if loader == "captions" else ALSO,
        modalities={"i2t": "image -> text", "t2i": "text -> image", "": "image -> text"}.get(kind, "image -> class"),
        source=f"CLIP_benchmark, webdataset {made}",
        licence="as the set",
        files=(DataFile(f"wds_{made}", how=how),),
        unverified=True,
        params={"set": made, "kind": kind, "probe": kind == "linear-probe"},
    )


def classify(spec: TaskSpec, context: TaskContext) -> TaskData:
    """Zero-shot classification or a linear probe; UserError for a set of captions or of several labels a picture."""
    folder = DataFolder(spec, context)
    home = _home(folder)
    if (found := _type(folder, home)) != "classification":
        raise UserError(
            f"{spec.name}: {home} is a {found} set; "
            + (f"run wds/{spec.params['set']}/i2t or /t2i" if found == "retrieval" else "sets of one class are read")
        )
    names = lines(folder, f"{home}/classnames.txt")
    probe = bool(spec.params["probe"])
    templates = [] if probe else list(filter(None, lines(folder, f"{home}/zeroshot_classification_templates.txt")))
    if not names or not (templates or probe):
        raise UserError(f"{spec.name}: {home} has no class names or no templates; get it again")
    test = list(islice(_labelled(folder, f"{home}/test", len(names)), context.limit))
    train = islice(_labelled(folder, f"{home}/train", len(names)), context.limit) if probe else ()
    return classification(folder, names, templates, test, list(train), whole=context.limit is None)


def captions(spec: TaskSpec, context: TaskContext) -> TaskData:
    """Retrieval, where KEY.txt holds a caption a line."""
    folder = DataFolder(spec, context)
    home = _home(folder)
    if (found := _type(folder, home)) != "retrieval":
        raise UserError(f"{spec.name}: {home} is a {found} set, of classes; run wds/{spec.params['set']}")
    samples = islice(_samples(folder, f"{home}/test", "txt"), context.limit)
    said = [(key, image, map(str.strip, text.splitlines())) for key, image, text in samples]
    pictures = [Captioned(key, image, list(filter(None, texts))) for key, image, texts in said]
    return retrieval(pictures, str(spec.params["kind"]), context.limit is not None)


def _home(folder: DataFolder) -> str:
    """The set's folder: wds_NAME as published, else NAME."""
    made = str(folder.spec.params["set"])
    return next((name for name in (f"wds_{made}", made) if (folder.root / name).is_dir()), f"wds_{made}")


def _type(folder: DataFolder, home: str) -> str:
    """The first line of dataset_type.txt; sets of classes are published without the file."""
    tars = folder.path(f"{home}/test/nshards.txt")
    if not (tars.parents[1] / "dataset_type.txt").exists():
        return "classification"
    return next(iter(lines(folder, f"{home}/dataset_type.txt")), "").lower() or "classification"


def _labelled(folder: DataFolder, split: str, classes: int) -> Iterator[Labelled]:
    for key, image, text in _samples(folder, split, "cls"):
        where = f"{folder.root / split}, {key}.cls"
        if not text.strip().isdecimal():
            raise UserError(f"{where} is no number of a class ({text[:40]!r})")
        yield key, image, check_label(int(text.strip()[:9]), classes, where)


def _samples(folder: DataFolder, split: str, label: str) -> Iterator[tuple[str, ImageRef, str]]:
    """(key, picture, text of its label file) of every sample. UserError for a damaged tar or a sample without one."""
    shards = "".join(lines(folder, f"{split}/nshards.txt"))
    if not shards.isdecimal() or not 0 < int(shards[:9]) <= MAX_TARS:
        raise UserError(f"{folder.path(f'{split}/nshards.txt')} must hold the number of tars, not {shards[:40]!r}")
    for shard in range(int(shards)):
        tar = folder.path(f"{split}/{shard}.tar")
        for stem, files in groupby(_members(tar), key=_stem):
            found = {member.name[len(stem) + 1 :].lower(): member for member in files}
            picture = next((found[kind] for kind in IMAGES if kind in found), None)
            if picture is None or label not in found:
                raise UserError(f"{tar}: sample {stem!r} needs a picture and .{label}; it has {', '.join(found)}")
            key = f"{shard}/{stem}"
            if folder.blind:
                image = ImageRef(content_hash(["not read", split, key]))
            else:
                image = images.ref_from_range(tar, picture.offset, picture.size)
            try:
                text = read_member(tar, found[label], MAX_TEXT_BYTES).decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{tar}: {stem}.{label} is no text ({error}); get it again") from error
            yield key, image, text


def _members(tar: Path) -> Iterator[Member]:
    """The files of a tar. A set that is not whole has another score, so what cannot be read is an error here."""
    for member in members(tar):
        if isinstance(member, BadMember):
            raise UserError(f"{tar}: {member.name}: {member.reason}")
        yield member


def _stem(member: Member) -> str:
    """The sample's name: up to the first dot of the file's."""
    home, slash, base = member.name.rpartition("/")
    return f"{home}{slash}{base.partition('.')[0]}"
