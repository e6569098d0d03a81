"""Text hard negatives of a scene: a true caption beside one that is false of the picture and gives nothing away.

Balanced by construction: swaps keep the words; a relation, an attribute or a shape is replaced by one that is as likely
in a true caption; what is added or denied stands as often in the true caption as in the false one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from datagen.scenes.draws import Draws
from datagen.scenes.phrases import a, absent, listed, unique_phrases
from datagen.scenes.sample import contrasting
from datagen.scenes.truth import OPPOSITE, RELATIONS, Phrase, related
from datagen.scenes.types import Scene
from datagen.scenes.vocabulary import SHAPES


@dataclass(frozen=True)
class Negative:
    """`caption` is true of the scene, `negative` is not; `kind` says what was changed."""

    kind: str
    caption: str
    negative: str


def negatives(scene: Scene, draws: Draws) -> tuple[Negative, ...]:
    """At most one of each kind: replace_obj, replace_att, replace_rel, swap_obj, swap_att, add, negate."""
    found = ((kind, make(scene, draws)) for kind, make in _KINDS.items())
    return tuple(Negative(kind, *texts) for kind, texts in found if texts)


Texts = tuple[str, str]


def _named(scene: Scene, draws: Draws) -> list[Phrase]:
    """Phrases of colour and shape that mean one thing each, in random order."""
    found = (unique_phrases(scene, index) for index in range(len(scene.things)))
    named = [phrase for phrases in found for phrase in phrases if phrase.colour and phrase.shape]
    return draws.shuffled([phrase for phrase in named if not phrase.size and not phrase.texture])


def _replaced(scene: Scene, draws: Draws, change: Callable[[Phrase], list[Phrase]]) -> Texts | None:
    """Two things, and the same with one of them changed into what is not there."""
    named = _named(scene, draws)
    for phrase in named:
        missing = absent(scene, change(phrase))
        others = [other for other in named if other != phrase]
        if missing and others:
            other = draws.choice(others)
            pairs = [(phrase, other), (draws.choice(missing), other)]
            if draws.chance(50):
                pairs = [(second, first) for first, second in pairs]
            true, false = (listed([a(first.words), a(second.words)]) for first, second in pairs)
            return true, false
    return None


def _replace_obj(scene: Scene, draws: Draws) -> Texts | None:
    return _replaced(scene, draws, lambda phrase: [replace(phrase, shape=shape) for shape in SHAPES])


def _replace_att(scene: Scene, draws: Draws) -> Texts | None:
    """Only colours that stand out from this background: no others are ever true."""
    colours = contrasting(scene.background)
    return _replaced(scene, draws, lambda phrase: [replace(phrase, colour=colour) for colour in colours])


def _relation(scene: Scene, draws: Draws) -> tuple[str, str, str] | None:
    indices = range(len(scene.things))
    phrases = {index: unique_phrases(scene, index) for index in indices}
    for i, j in draws.shuffled([(i, j) for i in indices for j in indices if i != j and phrases[i] and phrases[j]]):
        for relation in draws.shuffled(list(RELATIONS)):
            if related(scene.things[i], relation, scene.things[j]):
                return a(draws.choice(phrases[i]).words), relation, a(draws.choice(phrases[j]).words)
    return None


def _replace_rel(scene: Scene, draws: Draws) -> Texts | None:
    found = _relation(scene, draws)
    if found is None:
        return None
    first, relation, second = found
    return f"{first} {relation} {second}", f"{first} {OPPOSITE[relation]} {second}"


def _swap_obj(scene: Scene, draws: Draws) -> Texts | None:
    found = _relation(scene, draws)
    if found is None:
        return None
    first, relation, second = found
    return f"{first} {relation} {second}", f"{second} {relation} {first}"


def _swap_att(scene: Scene, draws: Draws) -> Texts | None:
    """A colour or texture of one thing given to the other, and the other way round."""
    indices = range(len(scene.things))
    for i, j in draws.shuffled([(i, j) for i in indices for j in indices if i < j]):
        one, two = scene.things[i], scene.things[j]
        for field in draws.shuffled(("colour", "texture")):
            before = [Phrase(**{field: getattr(thing, field), "shape": thing.shape}) for thing in (one, two)]
            after = [
                replace(before[0], **{field: getattr(two, field)}),
                replace(before[1], **{field: getattr(one, field)}),
            ]
            if before[0].shape != before[1].shape and len(absent(scene, after)) == 2:
                order = draws.shuffled((0, 1))
                true, false = (listed([a(phrases[k].words) for k in order]) for phrases in (before, after))
                return true, false
    return None


def _add(scene: Scene, draws: Draws) -> Texts | None:
    """One more, or one fewer, than in the true caption; what is false is always a thing that is not there."""
    named = list(dict.fromkeys(_named(scene, draws)))
    colours = contrasting(scene.background)
    missing = absent(scene, [Phrase(colour=colour, shape=shape) for colour in colours for shape in SHAPES])
    if len(named) < 3 or not missing:
        return None
    strange = draws.choice(missing)
    true, false = (named[:2], [*named[:2], strange]) if draws.chance(50) else (named[:3], [named[0], strange])
    return tuple(listed([a(phrase.words) for phrase in draws.shuffled(part)]) for part in (true, false))  # type: ignore[return-value]


def _negate(scene: Scene, draws: Draws) -> Texts | None:
    """What is there is denied, or what is not there is claimed, equally often."""
    present = _named(scene, draws)
    colours = contrasting(scene.background)
    every = [Phrase(colour=colour, shape=shape) for colour in colours for shape in SHAPES]
    missing = absent(scene, every)
    if not present or not missing:
        return None
    there = draws.chance(50)
    phrase = draws.choice(present if there else missing)
    texts = (f"there is {a(phrase.words)}", f"there is no {phrase.words}")
    return texts if there else texts[::-1]


_KINDS: dict[str, Callable[[Scene, Draws], Texts | None]] = {
    "replace_obj": _replace_obj,
    "replace_att": _replace_att,
    "replace_rel": _replace_rel,
    "swap_obj": _swap_obj,
    "swap_att": _swap_att,
    "add": _add,
    "negate": _negate,
}
