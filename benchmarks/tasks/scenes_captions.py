"""Captions of scenes, both ways, and what single things are: retrieval and zero-shot classification."""

from __future__ import annotations

from collections import Counter

from benchmarks.tasks.drawn import balanced, draws, image, query, row, scenes, task
from benchmarks.types import Candidate, TaskContext, TaskData, TaskSpec
from datagen.scenes.captions import captions
from datagen.scenes.phrases import NUMBERS, a
from datagen.scenes.types import Scene
from datagen.scenes.vocabulary import COLOURS, SHAPES
from fuselip.core.types import Input

GALLERY = 100
COUNTS = (1, 2, 3, 4, 5)
FAR = ("hit@5", "mrr", "strict@1")

# kind: (templates of a class's prompts, the classes, pictures of each).
ZERO_SHOT: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    "shape": (("{a}", "a picture of {a}", "we see {a}"), tuple(SHAPES), 4),
    "colour": (("{a} object", "a picture of {a} object", "an image with {a} object"), tuple(COLOURS), 5),
    "count": (("{objects}", "a picture of {objects}", "an image with {objects}"), NUMBERS[1 : 1 + len(COUNTS)], 12),
}

ROWS = (
    *(
        row(f"captions-{way}", f"scenes_captions:{way}", what, modalities, FAR, chance=1 / GALLERY)
        for way, what, modalities in (
            ("i2t", f"the caption of the picture, among those of {GALLERY}", "image -> text"),
            ("t2i", f"the picture of the caption, among {GALLERY}", "text -> image"),
        )
    ),
    *(
        row(
            f"zero-shot-{kind}",
            "scenes_captions:zero_shot",
            f"the {kind} of {'all things' if kind == 'count' else 'the thing'} in the picture; classes: {len(classes)}",
            "image -> text",
            chance=1 / len(classes),
            params={"kind": kind},
            also=("hit@5", "mrr", "strict@1", "class_mean@1")
            if len(classes) > 5
            else ("mrr", "strict@1", "class_mean@1"),
        )
        for kind, (_, classes, _) in ZERO_SHOT.items()
    ),
)


def i2t(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/captions-i2t`: picture -> caption. Each caption lists all of its scene, by number, colour and shape."""
    gallery = _gallery(context)
    candidates = {key: Candidate(key, (Input(text),)) for key, _, text in gallery}
    queries = [query(key, Input(image=image(of)), key, None, key, tags=_tags(of)) for key, of, _ in gallery]
    return task(queries, candidates, context)


def t2i(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/captions-t2i`: caption -> picture."""
    gallery = _gallery(context)
    candidates = {key: Candidate(key, (Input(image=image(of)),)) for key, of, _ in gallery}
    queries = [query(key, Input(text), key, None, key, tags=_tags(of)) for key, of, text in gallery]
    return task(queries, candidates, context)


def _gallery(context: TaskContext) -> list[tuple[str, Scene, str]]:
    """Scenes none of which holds all that another one holds: a caption is true of one picture only."""
    found: list[tuple[str, Scene, str]] = []
    seen: list[Counter[tuple[str, str]]] = []
    for key, of in scenes(context.seed):
        things = Counter((thing.colour, thing.shape) for thing in of.things)
        if not any(things <= other or other <= things for other in seen):
            seen.append(things)
            found.append((key, of, captions(of, draws("captions", context.seed, key))[0]))
        if len(found) == min(GALLERY, context.limit or GALLERY):
            break
    return found


def _tags(of: Scene) -> dict[str, int]:
    return {"things": len(of.things)}


def zero_shot(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/zero-shot-<kind>`: picture -> class, as many pictures of each; the prompts of a class are pooled."""
    kind = str(spec.params["kind"])
    templates, classes, each = ZERO_SHOT[kind]
    candidates = {name: Candidate(name, tuple(map(Input, _prompts(templates, name)))) for name in classes}
    labelled = ((key, of, _label(of, kind)) for key, of in scenes(context.seed))
    chosen = balanced(labelled, lambda row: row[2], classes, each)
    queries = [query(key, Input(image=image(of)), label, None, key, tags={kind: label}) for key, of, label in chosen]
    return task(queries, candidates, context)


def _label(of: Scene, kind: str) -> str:
    """The class of the scene, "" for one that is not asked about: shape and colour are those of a thing alone."""
    if kind == "count":
        return NUMBERS[len(of.things)]
    [thing, *others] = of.things
    return "" if others else thing.shape if kind == "shape" else thing.colour


def _prompts(templates: tuple[str, ...], name: str) -> list[str]:
    objects = "one object" if name == "one" else f"{name} objects"
    return [template.format(a=a(name), objects=objects) for template in templates]
