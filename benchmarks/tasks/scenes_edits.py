"""Edits of scenes: from a picture and an instruction to the edited picture, among other edits of the same scene."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from functools import lru_cache

from benchmarks.tasks.drawn import SIZE, draws, image, query, row, scenes, task
from benchmarks.types import Candidate, Query, TaskContext, TaskData, TaskSpec
from datagen.scenes.edits import edits
from datagen.scenes.spec import parse_spec
from datagen.scenes.truth import cell
from datagen.scenes.types import Scene
from datagen.sources.types import Edit
from fuselip.core.types import Input

KINDS = {
    "recolour": "one thing in another color",
    "move": "one thing in another part of the picture",
    "remove": "one thing less",
    "add": "one thing more",
    "swap": "two things in each other's place",
}
SCENES = 20
EACH = 2  # edits of each kind in a pool
_TRIES = 12
_POOL = EACH * len(KINDS) + 1

ROWS = tuple(
    row(
        f"edit-{kind}",
        "scenes_edits:edited",
        f"which picture does the instruction make of this one: {what}? Among {_POOL - 2} other edits, and no edit",
        "image+text -> image",
        ("hit@5", "mrr", "strict@1"),
        chance=1 / _POOL,
        params={"kind": kind},
    )
    for kind, what in KINDS.items()
)

Pool = tuple[str, Scene, tuple[Edit, ...]]


def edited(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/edit-<kind>`: the pool is the scene as it is and two edits of each kind, no two of the same effect."""
    queries: list[Query] = []
    candidates: dict[str, Candidate] = {}
    for key, before, made in _pools(context.seed):
        pictures = {f"{key}/{number}-{edit.kind}": edit.image for number, edit in enumerate(made)}
        pool = {f"{key}/unchanged": image(before)} | pictures
        candidates |= {name: Candidate(name, (Input(image=each),)) for name, each in pool.items()}
        for name, edit in zip(pictures, made, strict=True):
            if edit.kind == spec.params["kind"]:
                queries.append(query(name, Input(edit.instruction, image(before)), name, tuple(pool), key))
    return task(queries, candidates, context, "the picture as it is stands in every pool")


@lru_cache(maxsize=4)
def _pools(seed: int) -> tuple[Pool, ...]:
    """The first scenes that have enough edits of every kind."""
    found: list[Pool] = []
    for key, before in scenes(seed):
        made = _pool(key, before, seed) if len(before.things) > 2 else ()
        if made:
            found.append((key, before, made))
        if len(found) == SCENES:
            return tuple(found)
    raise AssertionError("scenes have no end")


def _pool(key: str, before: Scene, seed: int) -> tuple[Edit, ...]:
    by_kind: dict[str, list[Edit]] = defaultdict(list)
    effects: set[Hashable] = set()
    said: set[str] = set()
    for turn in range(_TRIES):
        for edit in edits(before, SIZE, draws("edits", seed, key, turn)):
            what = effect(before, edit)
            new = what not in effects and edit.instruction not in said
            if new and len(by_kind[edit.kind]) < EACH and result(edit).held_out:
                by_kind[edit.kind].append(edit)
                effects.add(what)
                said.add(edit.instruction)
    made = tuple(edit for kind in KINDS for edit in by_kind[kind])
    return made if len(made) == EACH * len(KINDS) else ()


def effect(before: Scene, edit: Edit) -> Hashable:
    """What an instruction can tell of an edit: a thing put twice into the same part of the picture is one effect."""
    after = result(edit)
    gone = tuple(thing for thing in before.things if thing not in after.things)
    new = tuple(
        (thing.shape, thing.colour, thing.texture, thing.size, cell(thing))
        for thing in after.things
        if thing not in before.things
    )
    return edit.kind, gone, new


def result(edit: Edit) -> Scene:
    """The scene that an edit leads to."""
    return parse_spec(str(dict(edit.image.operations[0].params)["spec"]))
