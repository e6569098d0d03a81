"""Questions about a scene whose answers follow from it, drawn so that no kind can be answered by one word."""

from __future__ import annotations

from collections.abc import Callable

from datagen.scenes.draws import Draws
from datagen.scenes.phrases import NUMBERS, VALUES, a, absent, unique_phrase
from datagen.scenes.truth import Phrase, cell, count, describe, groups, related
from datagen.scenes.types import Scene
from datagen.scenes.vocabulary import DIRECTIONS, HALF_SIZES
from datagen.sources.types import Question

_LEVELS = (("colour", "shape"), ("texture", "shape"), ("colour", "shape"), ("texture", "colour"))
_ATTRIBUTES = {
    "colour": ("color", ("What color is the {}?", "Which color does the {} have?")),
    "shape": ("shape", ("What shape is the {}?", "Which shape does the {} have?")),
    "texture": ("texture", ("Is the {} plain, striped, dotted or checkered?", "What is the texture of the {}?")),
    "size": ("size", ("Is the {} small, medium or large?", "What size is the {}?")),
}


def questions(scene: Scene, draws: Draws) -> tuple[Question, ...]:
    """At most one question of each kind; kinds that this scene gives no clear question of are left out."""
    asked = [_attribute(scene, draws, field) for field in _ATTRIBUTES]
    asked += [ask(scene, draws) for ask in _KINDS]
    return tuple(question for question in asked if question)


def _attribute(scene: Scene, draws: Draws, field: str) -> Question | None:
    for index in draws.shuffled(range(len(scene.things))):
        if phrase := unique_phrase(scene, index, draws, without=(field,)):
            kind, forms = _ATTRIBUTES[field]
            return Question(draws.choice(forms).format(phrase.words), getattr(scene.things[index], field), kind)
    return None


def _existence(scene: Scene, draws: Draws) -> Question | None:
    """As often yes as no; a `no` asks, where it can, for attributes that are there but not on one thing."""
    level = draws.choice(_LEVELS)
    present = [phrase for phrase, _ in groups(scene, level)]
    if draws.chance(50):
        phrase, answer = draws.choice(present), "yes"
    else:
        missing = absent(scene, _recombined(scene, level)) or absent(scene, _altered(draws.choice(present), level))
        phrase, answer = draws.choice(missing), "no"
    form = draws.choice(("Is there {} in the picture?", "Can you see {}?", "Does the picture show {}?"))
    return Question(form.format(a(phrase.words)), answer, "existence")


def _recombined(scene: Scene, level: tuple[str, ...]) -> list[Phrase]:
    """Phrases of two attributes, each of which some thing has."""
    one, two = level
    return [
        Phrase(**{one: first, two: second})
        for first in sorted({getattr(thing, one) for thing in scene.things})
        for second in sorted({getattr(thing, two) for thing in scene.things})
    ]


def _altered(phrase: Phrase, level: tuple[str, ...]) -> list[Phrase]:
    """Phrases that differ from `phrase` in one attribute."""
    said = {field: getattr(phrase, field) for field in level}
    return [Phrase(**{**said, field: value}) for field in level for value in VALUES[field] if value != said[field]]


def _count(scene: Scene, draws: Draws) -> Question | None:
    """The number is drawn first, among those that have a question, and then what to count."""
    level = draws.choice((("shape",), ("colour",), ("colour", "shape"), ("texture",)))
    by_number: dict[int, list[Phrase]] = {}
    for phrase, number in groups(scene, level):
        by_number.setdefault(number, []).append(phrase)
    if missing := absent(scene, _altered(draws.choice(groups(scene, level))[0], level)):
        by_number[0] = missing
    number = draws.choice(sorted(by_number))
    phrase = draws.choice(by_number[number])
    form = draws.choice(("How many {} are there?", "How many {} are in the picture?", "What is the number of {}?"))
    return Question(form.format(phrase.plural), NUMBERS[number], "count")


def _position(scene: Scene, draws: Draws) -> Question | None:
    for index in draws.shuffled(range(len(scene.things))):
        where = cell(scene.things[index])
        phrase = unique_phrase(scene, index, draws)
        if where and phrase:
            form = draws.choice(("In which part of the picture is the {}?", "Where in the picture is the {}?"))
            return Question(form.format(phrase.words), where, "position")
    return None


def _relation(scene: Scene, draws: Draws) -> Question | None:
    """Left or right, above or below. Which of the two things is named first is drawn, and with it the answer."""
    for i, j in _pairs(scene, draws):
        for one, two in draws.shuffled((("left of", "right of"), ("above", "below"))):
            holds = next((r for r in (one, two) if related(scene.things[i], r, scene.things[j])), None)
            first, second = unique_phrase(scene, i, draws), unique_phrase(scene, j, draws)
            if holds and first and second:
                choices = "left or right of" if one == "left of" else "above or below"
                text = f"Is the {first.words} {choices} the {second.words}?"
                return Question(text, holds.removesuffix(" of"), "relation")
    return None


def _comparison(scene: Scene, draws: Draws) -> Question | None:
    for ask in draws.shuffled((_larger, _same, _more)):
        if question := ask(scene, draws):
            return question
    return None


def _larger(scene: Scene, draws: Draws) -> Question | None:
    things = scene.things
    for i, j in _pairs(scene, draws):
        said = ("size",)
        first, second = unique_phrase(scene, i, draws, without=said), unique_phrase(scene, j, draws, without=said)
        sizes = HALF_SIZES[things[i].size], HALF_SIZES[things[j].size]
        if first and second and sizes[0] != sizes[1]:
            word = draws.choice(("larger", "smaller"))
            answer = first if (sizes[0] > sizes[1]) == (word == "larger") else second
            return Question(f"Which is {word}, the {first.words} or the {second.words}?", answer.words, "comparison")
    return None


def _same(scene: Scene, draws: Draws) -> Question | None:
    """Whether two things share an attribute; `yes` or `no` is drawn first, the pair is looked for."""
    field = draws.choice(("colour", "shape", "texture"))
    wanted = draws.chance(50)
    for i, j in _pairs(scene, draws):
        if (getattr(scene.things[i], field) == getattr(scene.things[j], field)) == wanted:
            first, second = (unique_phrase(scene, k, draws, without=(field,)) for k in (i, j))
            if first and second:
                text = f"Do the {first.words} and the {second.words} have the same {_ATTRIBUTES[field][0]}?"
                return Question(text, "yes" if wanted else "no", "comparison")
    return None


def _more(scene: Scene, draws: Draws) -> Question | None:
    """Which of two shapes or colours there are more of; the order, and with it the answer, is drawn."""
    found = draws.shuffled(groups(scene, (draws.choice(("shape", "colour")),)))
    for phrase, number in found:
        for other, fewer in found:
            if number > fewer:
                one, two = draws.shuffled((phrase, other))
                text = f"Are there more {one.plural} than {two.plural}?"
                return Question(text, "yes" if one == phrase else "no", "comparison")
    return None


def _direction(scene: Scene, draws: Draws) -> Question | None:
    for index in draws.shuffled(range(len(scene.things))):
        thing = scene.things[index]
        if thing.shape == "arrow" and thing.rotation in DIRECTIONS:
            phrases = [
                p for p in (describe(thing, ("shape",)), describe(thing, ("colour", "shape"))) if count(scene, p) == 1
            ]
            if phrases:
                form = draws.choice(("Which way does the {} point?", "In which direction does the {} point?"))
                return Question(form.format(draws.choice(phrases).words), DIRECTIONS[thing.rotation], "direction")
    return None


def _pairs(scene: Scene, draws: Draws) -> list[tuple[int, int]]:
    """All ordered pairs of different things, in a random order."""
    indices = range(len(scene.things))
    return draws.shuffled([(i, j) for i in indices for j in indices if i != j])


_KINDS: tuple[Callable[[Scene, Draws], Question | None], ...] = (
    _existence,
    _count,
    _position,
    _relation,
    _comparison,
    _direction,
)
