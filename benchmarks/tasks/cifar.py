"""CIFAR-10 and CIFAR-100 in the publisher's binary version: records of labels and 32x32 planes, never unpickled."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from PIL import Image

from benchmarks.tasks.folder import DataFolder
from benchmarks.tasks.zero_shot import ALSO, CLIP, Labelled, check_label, classification, lines
from benchmarks.types import DataFile, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef

SIDE = 32
PIXELS = 3 * SIDE * SIDE

_STYLES = (
    *("", "blurry ", "black and white ", "low contrast ", "high contrast ", "bad ", "good "),
    *("small ", "big "),
)
# CLIP's prompts for both sets: small and big are said of the thing, all others of the photo.
TEMPLATES = tuple(
    f"a photo of {article} {style}{{}}." if style in ("small ", "big ") else f"a {style}photo of {article} {{}}."
    for article in ("a", "the")
    for style in _STYLES
)

_SETS: dict[str, dict[str, str | int]] = {
    "cifar10": {
        "home": "cifar-10-batches-bin",
        "url": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "names": "batches.meta.txt",
        "test": "test_batch.bin",
        "train": "data_batch_1.bin,data_batch_2.bin,data_batch_3.bin,data_batch_4.bin,data_batch_5.bin",
        "label_bytes": 1,
        "classes": 10,
    },
    "cifar100": {
        "home": "cifar-100-binary",
        "url": "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "names": "fine_label_names.txt",
        "test": "test.bin",
        "train": "train.bin",
        "label_bytes": 2,  # coarse, fine
        "classes": 100,
    },
}

ROWS = tuple(
    TaskSpec(
        name=f"{name}/{kind}",
        version=1,
        loader="benchmarks.tasks.cifar:cifar",
        description=description,
        also=ALSO,
        modalities="image -> text" if kind == "zero-shot" else "image -> class",
        source=f"CIFAR-{made['classes']}, binary version, test split of 10,000",
        citation=f"Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; {CLIP}",
        licence="its publisher states none",
        chance=1 / int(made["classes"]),
        counts={"candidates": int(made["classes"]), "queries": 10_000},
        files=(DataFile(str(made["home"]), str(made["url"]), member=str(made["home"])),),
        unverified=True,
        params={"probe": kind == "linear-probe", **{key: made[key] for key in made if key not in ("url", "classes")}},
    )
    for name, made in _SETS.items()
    for kind, description in (
        ("zero-shot", f"which of {made['classes']} classes, each of 18 prompts, does the tiny picture show?"),
        ("linear-probe", "the same pictures by logistic regression on the vectors of the 50,000 training pictures"),
    )
)


def cifar(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`cifar10/*` and `cifar100/*` (fine labels)."""
    folder = DataFolder(spec, context)
    home = spec.params["home"]
    names = [name.replace("_", " ") for name in lines(folder, f"{home}/{spec.params['names']}") if name]
    pictures = _read(folder, "test", len(names), context)
    probe = bool(spec.params["probe"])
    training = _read(folder, "train", len(names), context) if probe else ()
    whole = context.limit is None
    return classification(folder, names, () if probe else TEMPLATES, pictures, training, whole=whole)


def _read(folder: DataFolder, split: str, classes: int, context: TaskContext) -> list[Labelled]:
    files = str(folder.spec.params[split]).split(",")
    every = (row for file in files for row in _records(folder, file, classes))
    return list(islice(every, context.limit))


def _records(folder: DataFolder, file: str, classes: int) -> Sequence[Labelled]:
    """The pictures of a file: per record the label bytes (the last is the class), then red, green and blue planes."""
    path = folder.path(f"{folder.spec.params['home']}/{file}")
    ahead = int(folder.spec.params["label_bytes"])
    size = path.stat().st_size
    if size == 0 or size % (ahead + PIXELS) or size > 1 << 30:
        raise UserError(f"{path} has {size} bytes, which is no number of records of {ahead + PIXELS}; get it again")
    rows = np.fromfile(path, np.uint8).reshape(-1, ahead + PIXELS)
    planes = rows[:, ahead:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return [
        (
            f"{file}/{number}",
            ImageRef.from_pil(Image.fromarray(np.ascontiguousarray(pixels))),
            check_label(int(label), classes, f"{path}, record {number}"),
        )
        for number, (label, pixels) in enumerate(zip(rows[:, ahead - 1], planes, strict=True))
    ]
