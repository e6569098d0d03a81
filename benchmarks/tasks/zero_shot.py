"""Zero-shot classification: a picture ranks classes, each the mean of its prompts (CLIP); and ImageNet's own task.

A class is a Candidate of one Input per prompt; `linear-probe` rows classify the same pictures by a classifier that is
fitted on the training split (`benchmarks.probe`), and their candidates are names only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.tasks.folder import DataFolder
from benchmarks.types import Candidate, DataFile, Query, TaskContext, TaskData, TaskSpec
from datagen.sources.inside import inside
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

CLIP = "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020"
IMAGES = (".jpeg", ".jpg", ".png", ".webp")
MAX_LINES_BYTES = 16 << 20

ALSO = ("hit@5", "class_mean@1", "mrr", "strict@1")

_PROMPTS = (
    "write it from open_clip, which has the names and templates of CLIP's authors: IMAGENET_CLASSNAMES as a JSON list "
    "of strings, and [template('{}') for template in OPENAI_IMAGENET_TEMPLATES] as another"
)
_PICTURES = (
    "register at image-net.org for ILSVRC2012, and sort its pictures into one folder per class, named by WordNet id"
)
_NAMES = "imagenet/classnames.json"
_TEMPLATES = "imagenet/openai_templates.json"

ROWS = tuple(
    TaskSpec(
        name=f"imagenet/{kind}",
        version=1,
        loader="benchmarks.tasks.zero_shot:imagenet",
        description=description,
        also=ALSO,
        modalities="image -> text" if kind == "zero-shot" else "image -> class",
        source="ILSVRC2012, validation split",
        citation=f"Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, arXiv 1409.0575; {CLIP}",
        licence="non-commercial research, on registration at image-net.org",
        counts={"candidates": 1000, "queries": 50_000},
        files=(
            DataFile(_NAMES, how=_PROMPTS, annotations=True),
            *((DataFile(_TEMPLATES, how=_PROMPTS, annotations=True),) if kind == "zero-shot" else ()),
            DataFile("imagenet/val", how=_PICTURES),
            *((DataFile("imagenet/train", how=_PICTURES),) if kind == "linear-probe" else ()),
        ),
        unverified=True,
        params={"probe": kind == "linear-probe"},
    )
    for kind, description in (
        ("zero-shot", "which of 1000 classes, each of 80 prompts, does the picture show?"),
        (
            "linear-probe",
            "the same pictures by logistic regression on the vectors of the whole training split",
        ),
    )
)

Labelled = tuple[str, ImageRef, int]
"""Key of a picture, the picture, and the index of its class."""


def imagenet(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`imagenet/*`. A limit takes pictures in turn from every class, so that all are there where it is 1000 or more."""
    folder = DataFolder(spec, context)
    names = strings(folder, _NAMES)
    probe = bool(spec.params["probe"])
    templates = () if probe else strings(folder, _TEMPLATES)
    pictures = _pictures(folder, "imagenet/val", len(names), context.limit)
    training = _pictures(folder, "imagenet/train", len(names), context.limit) if probe else ()
    return classification(folder, names, templates, pictures, training, whole=context.limit is None)


def classification(
    folder: DataFolder,
    names: Sequence[str],
    templates: Sequence[str],
    pictures: Sequence[Labelled],
    training: Sequence[Labelled] = (),
    *,
    whole: bool,
) -> TaskData:
    """Every picture ranks all classes; a class is each template with `{}` or `{c}` replaced by its name.

    Without templates (a linear probe) a class is its key alone. Classes of one name form one bundle when scored, which
    the notes tell. `whole`: these are all pictures of the set, to be counted. Raises UserError for no pictures, an
    empty prompt, or a count that is not the publisher's.
    """
    folder.count("candidates", len(names))
    if whole:
        folder.count("queries", len(pictures))
    if not pictures:
        raise UserError(f"{folder.spec.name}: there are no pictures under {folder.root}; get the set again")
    keys = [f"{index}:{name}" for index, name in enumerate(names)]
    candidates = {
        key: Candidate(key, _prompts(folder, key, name, templates)) for key, name in zip(keys, names, strict=True)
    }
    queries = tuple(Query(key, Input(image=image), {keys[label]: 1.0}) for key, image, label in pictures)
    notes = [f"{len(names)} classes of {len(templates)} prompts each"] if templates else []
    if templates and (twice := sorted({name for name in names if names.count(name) > 1})):
        notes.append(f"classes of one name cannot be told apart and count as one of several: {', '.join(twice)}")
    fitted = tuple((Input(image=image), keys[label]) for _, image, label in training)
    return TaskData(queries, candidates, notes=tuple(notes), training=fitted)


def strings(folder: DataFolder, name: str) -> list[str]:
    """A JSON list of strings, at least one. UserError for anything else."""
    found = folder.json(name)
    if not isinstance(found, list) or not found or not all(isinstance(entry, str) and entry for entry in found):
        raise UserError(f"{folder.path(name)}: a JSON list of strings is needed, none of them empty")
    return found


def lines(folder: DataFolder, name: str) -> list[str]:
    """The lines of a text file without white space around; empty ones stay, as a class's name can be empty."""
    path = folder.path(name)
    try:
        if path.stat().st_size > MAX_LINES_BYTES:
            raise UserError(f"{path} is over {MAX_LINES_BYTES >> 20} MiB: no list of names is")
        return [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable text ({error}); get it again") from error


def check_label(label: int, count: int, where: str) -> int:
    """The index of a class. UserError where there is no such class."""
    if not 0 <= label < count:
        raise UserError(f"{where}: class {label} of {count}; the list of names and the labels are not of one set")
    return label


def _prompts(folder: DataFolder, key: str, name: str, templates: Sequence[str]) -> tuple[Input, ...]:
    texts = [template.replace("{c}", name).replace("{}", name) for template in templates] or [key]
    if not all(text.strip() for text in texts):
        raise UserError(f"{folder.spec.name}: class {key!r} has an empty prompt; check the templates")
    return tuple(map(Input, texts))


def _pictures(folder: DataFolder, name: str, classes: int, limit: int | None) -> list[Labelled]:
    """Pictures in one folder per class; the sorted folder names are the classes in order."""
    root = folder.path(name)
    try:
        homes = sorted(path.name for path in root.iterdir() if path.is_dir())
        if len(homes) != classes:
            raise UserError(
                f"{root} has {len(homes)} class folders where there are {classes} names; it needs one folder per class"
            )
        found = [
            (place, label, f"{home}/{file}")
            for label, home in enumerate(homes)
            for place, file in enumerate(_files(inside(root, home)))
        ]
    except OSError as error:
        raise UserError(f"{root} cannot be listed ({error})") from error
    chosen = sorted(found)[:limit]
    return [(file, folder.image(f"{name}/{file}"), label) for _, label, file in chosen]


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in IMAGES)
