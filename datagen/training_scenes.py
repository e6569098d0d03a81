"""What a drawn scene gives to training, by kind: pairs of one scene, and of its edits, that are hard for each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from datagen.scenes.captions import captions
from datagen.scenes.draws import Draws
from datagen.scenes.edits import edits
from datagen.scenes.phrases import a, listed, pick_out, unique_phrase, unique_phrases
from datagen.scenes.questions import questions
from datagen.scenes.render import box
from datagen.scenes.sample import contrasting, is_clear
from datagen.scenes.spec import picture
from datagen.scenes.truth import CLEAR, RELATIONS, Phrase, count, describe, related
from datagen.scenes.types import Scene, Thing
from datagen.scenes.vocabulary import SHAPES
from fuselip.core.types import ImageRef, Input, Operation, Pair

Pairs = Sequence[Pair]

ATTRIBUTES = ("color", "shape", "texture", "size")
_ASKED = 4  # times that questions are drawn of a scene


def _captions(scene: Scene, size: int, draws: Draws) -> Pairs:
    """(picture -> caption): a complete list as often as any other caption."""
    found = captions(scene, draws)
    return [Pair(Input(image=picture(scene, size)), Input(found[0] if draws.chance(50) else draws.choice(found)))]


def _questions(scene: Scene, size: int, draws: Draws) -> Pairs:
    """(picture + question -> answer), of all kinds, the rare kinds as often as the others."""
    return _asked(scene, size, draws.shuffled(questions(scene, draws)))


def _attributes(scene: Scene, size: int, draws: Draws) -> Pairs:
    """(picture + question -> answer): one attribute of several things, with different answers."""
    rows = [row for _ in range(_ASKED) for row in questions(scene, draws) if row.kind in ATTRIBUTES]
    if not rows:
        return ()
    kind = draws.choice(rows).kind
    by_answer = {row.answer: row for row in rows if row.kind == kind}
    return _asked(scene, size, draws.shuffled(list(by_answer.values())))


def _asked(scene: Scene, size: int, rows: Sequence) -> Pairs:
    image = picture(scene, size)
    return [Pair(Input(row.question, image), Input(row.answer)) for row in rows]


def _regions(scene: Scene, size: int, draws: Draws) -> Pairs:
    """(picture + words for a thing -> the crop of it): the shape alone where it says enough, or a phrase."""
    image, made = picture(scene, size), []
    for index in draws.shuffled(range(len(scene.things))):
        thing = scene.things[index]
        alone = count(scene, describe(thing, ("shape",))) == 1
        if words := thing.shape if alone and draws.chance(50) else pick_out(scene, index, draws):
            made.append(Pair(Input(words, image), Input(image=_crop(image, thing, size))))
    return made


def _positions(scene: Scene, size: int, draws: Draws) -> Pairs:
    """(picture + "The star on the left" -> the crop of it), for the left and the right one of two of a shape."""
    for i, j in draws.shuffled([(i, j) for i in range(len(scene.things)) for j in range(len(scene.things)) if i != j]):
        one, two = scene.things[i], scene.things[j]
        if two.x - one.x < CLEAR or one.colour == two.colour:
            continue
        twin = replace(two, shape=one.shape, rotation=draws.choice(SHAPES[one.shape]))
        after = _with(scene, {j: twin})
        if count(after, describe(one, ("shape",))) == 2 and _fits(scene, after):
            image = picture(after, size)
            return [
                Pair(Input(f"The {thing.shape} on the {side}", image), Input(image=_crop(image, thing, size)))
                for side, thing in (("left", one), ("right", twin))
            ]
    return ()


def _edits(scene: Scene, size: int, draws: Draws) -> Pairs:
    """(picture + instruction -> edited picture), and the first edit's way back, so that no edit is an answer too."""
    image, made = picture(scene, size), edits(scene, size, draws)
    forward = [Pair(Input(edit.instruction, image), Input(image=edit.image)) for edit in made]
    back = [Pair(Input(edit.inverse, edit.image), Input(image=image)) for edit in made[:1] if edit.inverse]
    return [*forward[:1], *back, *forward[1:]]


def _compositions(scene: Scene, size: int, draws: Draws) -> Pairs:
    """(picture -> caption) of two scenes that differ in one respect, each caption true of its own picture alone."""
    for change in draws.shuffled((_turned, _exchanged, _replaced, _gone)):
        if found := change(scene, draws):
            after, texts = found
            both = zip((scene, after), texts, strict=True)
            return [Pair(Input(image=picture(each, size)), Input(text)) for each, text in both]
    return ()


KINDS: dict[str, Callable[[Scene, int, Draws], Pairs]] = {
    "captions": _captions,
    "questions": _questions,
    "attributes": _attributes,
    "regions": _regions,
    "positions": _positions,
    "edits": _edits,
    "compositions": _compositions,
}

Changed = tuple[Scene, tuple[str, str]]
"""Another scene, the caption that is true of the first one alone, and the one of the other alone."""


def _turned(scene: Scene, draws: Draws) -> Changed | None:
    """Two things in each other's place, and a relation of theirs."""
    for i, j in _ordered(scene, draws):
        one, two = scene.things[i], scene.things[j]
        relation = next((each for each in draws.shuffled(list(RELATIONS)) if related(one, each, two)), "")
        phrases = unique_phrase(scene, i, draws), unique_phrase(scene, j, draws)
        after = _with(scene, {i: replace(one, x=two.x, y=two.y), j: replace(two, x=one.x, y=one.y)})
        if relation and phrases[0] and phrases[1] and _fits(scene, after):
            first, second = (a(phrase.words) for phrase in phrases if phrase)
            return after, (f"{first} {relation} {second}", f"{second} {relation} {first}")
    return None


def _exchanged(scene: Scene, draws: Draws) -> Changed | None:
    """The colours or the textures of two things of different shapes exchanged."""
    for i, j in _ordered(scene, draws):
        one, two = scene.things[i], scene.things[j]
        field = draws.choice(("colour", "texture"))
        if one.shape != two.shape and getattr(one, field) != getattr(two, field):
            changed = [replace(x, **{field: getattr(y, field)}) for x, y in ((one, two), (two, one))]
            after = _with(scene, {i: changed[0], j: changed[1]})
            before = [describe(thing, (field, "shape")) for thing in (one, two)]
            later = [describe(thing, (field, "shape")) for thing in changed]
            new = not any(count(scene, each) for each in later) and not any(count(after, each) for each in before)
            if new and _fits(scene, after):
                return after, (_list(before), _list(later))
    return None


def _replaced(scene: Scene, draws: Draws) -> Changed | None:
    """One thing of another colour or another shape, told together with a second thing."""
    for i, j in _ordered(scene, draws):
        thing = scene.things[i]
        if draws.chance(50):
            new = replace(thing, colour=draws.choice(contrasting(scene.background)))
        else:
            shape = draws.choice(tuple(SHAPES))
            new = replace(thing, shape=shape, rotation=draws.choice(SHAPES[shape]))
        after = _with(scene, {i: new})
        before, later = describe(thing, ("colour", "shape")), describe(new, ("colour", "shape"))
        other = describe(scene.things[j], ("colour", "shape"))
        told_apart = before != later and not count(scene, later) and not count(after, before)
        if told_apart and other not in (before, later) and _fits(scene, after):
            ahead = draws.chance(50)
            told = [[each, other] if ahead else [other, each] for each in (before, later)]
            return after, (_list(told[0]), _list(told[1]))
    return None


def _gone(scene: Scene, draws: Draws) -> Changed | None:
    """A thing taken away: claimed of the one scene, denied of the other."""
    for index in draws.shuffled(range(len(scene.things))):
        phrases = [phrase for phrase in unique_phrases(scene, index) if phrase.shape]
        after = replace(scene, things=scene.things[:index] + scene.things[index + 1 :])
        if phrases and after.things and _fits(scene, after):
            phrase = draws.choice(phrases)
            return after, (f"there is {a(phrase.words)}", f"there is no {phrase.words}")
    return None


def _ordered(scene: Scene, draws: Draws) -> list[tuple[int, int]]:
    indices = range(len(scene.things))
    return draws.shuffled([(i, j) for i in indices for j in indices if i != j])


def _list(phrases: Sequence[Phrase]) -> str:
    return listed([a(phrase.words) for phrase in phrases])


def _with(scene: Scene, changed: dict[int, Thing]) -> Scene:
    return replace(scene, things=tuple(changed.get(index, thing) for index, thing in enumerate(scene.things)))


def _fits(before: Scene, after: Scene) -> bool:
    return is_clear(after) and (before.held_out or not after.held_out)


def _crop(image: ImageRef, thing: Thing, size: int) -> ImageRef:
    left, top, right, bottom = box(thing, size)
    return image.then(Operation.of("box", left=left, top=top, right=right, bottom=bottom))
