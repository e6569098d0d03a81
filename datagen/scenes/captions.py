"""Captions of a scene by a small grammar: what there is and how many, how things lie, where they are. All true."""

from __future__ import annotations

from datagen.scenes.draws import Draws
from datagen.scenes.phrases import a, counted, listed, unique_phrase
from datagen.scenes.truth import RELATIONS, cell, groups, related
from datagen.scenes.types import Background, Scene

WHOLE = (
    "{list}",
    "a picture of {list}",
    "an image of {list}",
    "an image with {list}",
    "this picture shows {list}",
    "we see {list}",
    "{list} can be seen",
)
GROUND = (
    "{list} on {ground}",
    "a picture of {list} on {ground}",
    "on {ground}, {list}",
    "an image of {list}, drawn on {ground}",
)
RELATION = (
    "{first} {relation} {second}",
    "a picture with {first} {relation} {second}",
    "there is {first} {relation} {second}",
    "the picture shows {first} {relation} {second}",
)
SAYINGS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below",),
}
PLACE = ("{thing} in the {cell}", "{thing} is in the {cell} of the picture", "in the {cell} there is {thing}")
LEVELS = (("colour", "shape"), ("texture", "colour", "shape"), ("size", "colour", "shape"))


def captions(scene: Scene, draws: Draws) -> tuple[str, ...]:
    """Two to five different captions. The first lists everything by colour and shape, the second in more detail.

    Lists are complete and their numbers exact; in the others, `a` phrase means exactly one thing of the scene.
    """
    texts = [
        draws.choice(WHOLE).format(list=inventory(scene, LEVELS[0], draws)),
        draws.choice(GROUND).format(
            list=inventory(scene, draws.choice(LEVELS), draws), ground=ground(scene.background)
        ),
        _relation(scene, draws),
        _relation(scene, draws),
        _place(scene, draws),
    ]
    return tuple(dict.fromkeys(text for text in texts if text))


def inventory(scene: Scene, level: tuple[str, ...], draws: Draws) -> str:
    """Everything in the scene, in a random order: "two red stars, a blue ring and a green heart"."""
    return listed([counted(phrase, number) for phrase, number in draws.shuffled(groups(scene, level))])


def ground(background: Background) -> str:
    """ "a plain pale blue background"."""
    if background.kind == "plain":
        return a(f"plain {background.tone} background")
    kind = {"gradient": "gradient", "noise": "noisy", "pattern": "patterned"}[background.kind]
    return a(f"{kind} background of {background.tone} and {background.other}")


def _relation(scene: Scene, draws: Draws) -> str:
    """How two things lie to each other, where that is clear for some pair."""
    things = scene.things
    found = [
        (i, relation, j)
        for i in range(len(things))
        for j in range(len(things))
        if i != j
        for relation in RELATIONS
        if related(things[i], relation, things[j])
    ]
    for i, relation, j in draws.shuffled(found)[:4]:
        first, second = unique_phrase(scene, i, draws), unique_phrase(scene, j, draws)
        if first and second:
            said = draws.choice(SAYINGS[relation])
            return draws.choice(RELATION).format(first=a(first.words), relation=said, second=a(second.words))
    return ""


def _place(scene: Scene, draws: Draws) -> str:
    for index in draws.shuffled(range(len(scene.things))):
        where = cell(scene.things[index])
        phrase = unique_phrase(scene, index, draws)
        if where and phrase:
            return draws.choice(PLACE).format(thing=a(phrase.words), cell=where)
    return ""
