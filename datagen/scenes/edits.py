"""Edits of a scene with their way back: recolour, move, remove, add, swap. The result is a scene like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from datagen.scenes.captions import captions
from datagen.scenes.draws import Draws
from datagen.scenes.phrases import a, unique_phrase
from datagen.scenes.sample import contrasting, is_clear, position, random_look
from datagen.scenes.spec import picture
from datagen.scenes.truth import cell, count, describe
from datagen.scenes.types import MAX_THINGS, Scene, Thing
from datagen.sources.types import Edit

Change = tuple[str, Scene, str]
"""(instruction, the scene it leads to, the instruction that leads back)."""

_TRIES = 20


def edits(scene: Scene, size: int, draws: Draws) -> tuple[Edit, ...]:
    """At most one edit of each kind, in random order; kinds that this scene gives no clear edit of are left out.

    Phrases mean exactly one thing of the scene they are said of, the way back leads to this very scene, and edits of
    a training scene show no combination that is held out. `size` in pixels.
    """
    made = []
    for kind, change in draws.shuffled(list(_KINDS.items())):
        if found := change(scene, draws):
            instruction, after, inverse = found
            made.append(Edit(instruction, picture(after, size), inverse, captions(after, draws), kind))
    return tuple(made)


def _fits(before: Scene, after: Scene) -> bool:
    return is_clear(after) and (before.held_out or not after.held_out)


def _with(scene: Scene, index: int, thing: Thing) -> Scene:
    return replace(scene, things=(*scene.things[:index], thing, *scene.things[index + 1 :]))


def _recolour(scene: Scene, draws: Draws) -> Change | None:
    for index in draws.shuffled(range(len(scene.things))):
        thing = scene.things[index]
        for colour in draws.shuffled([c for c in contrasting(scene.background) if c != thing.colour])[:4]:
            after = _with(scene, index, replace(thing, colour=colour))
            here, there = unique_phrase(scene, index, draws), unique_phrase(after, index, draws)
            if here and there and _fits(scene, after):
                form = draws.choice(("make the {} {}", "color the {} {}", "change the color of the {} to {}"))
                return form.format(here.words, colour), after, form.format(there.words, thing.colour)
    return None


def _move(scene: Scene, draws: Draws) -> Change | None:
    for index in draws.shuffled(range(len(scene.things))):
        thing, phrase = scene.things[index], unique_phrase(scene, index, draws)
        here = cell(thing)
        if not phrase or not here:
            continue
        for _ in range(_TRIES):
            x, y = position(draws, thing.size)
            after = _with(scene, index, moved := replace(thing, x=x, y=y))
            there = cell(moved)
            if there and there != here and _fits(scene, after):
                form = draws.choice(("move the {} to the {}", "put the {} in the {}", "shift the {} to the {}"))
                return form.format(phrase.words, there), after, form.format(phrase.words, here)
    return None


def _remove(scene: Scene, draws: Draws) -> Change | None:
    for index in draws.shuffled(range(len(scene.things))):
        after = replace(scene, things=scene.things[:index] + scene.things[index + 1 :])
        phrase = unique_phrase(scene, index, draws)
        added = _added(scene, index)
        # A test scene without its last held-out thing would be a training scene; and something must be left.
        if phrase and added and after.things and after.held_out == scene.held_out and is_clear(after):
            form = draws.choice(("remove the {}", "take the {} away", "delete the {}"))
            return form.format(phrase.words), after, added
    return None


def _add(scene: Scene, draws: Draws) -> Change | None:
    if len(scene.things) == MAX_THINGS:
        return None
    for _ in range(_TRIES):
        look = random_look(draws, contrasting(scene.background), scene.held_out)
        look = replace(look, size=draws.choice(("small", "medium")))
        x, y = position(draws, look.size)
        after = replace(scene, things=(*scene.things, replace(look, x=x, y=y)))
        index = len(scene.things)
        added, phrase = _added(after, index), unique_phrase(after, index, draws)
        if added and phrase and _fits(scene, after):
            return added, after, draws.choice(("remove the {}", "take the {} away")).format(phrase.words)
    return None


def _added(scene: Scene, index: int) -> str:
    """The instruction that adds thing `index` to the scene without it, or "" where its place has no name."""
    thing = scene.things[index]
    phrase = describe(thing, ("size", "texture", "colour", "shape"))
    where = cell(thing)
    return f"add {a(phrase.words)} in the {where}" if where and count(scene, phrase) == 1 else ""


def _swap(scene: Scene, draws: Draws) -> Change | None:
    indices = range(len(scene.things))
    for i, j in draws.shuffled([(i, j) for i in indices for j in indices if i < j]):
        one, two = scene.things[i], scene.things[j]
        first, second = unique_phrase(scene, i, draws), unique_phrase(scene, j, draws)
        after = _with(_with(scene, i, replace(one, x=two.x, y=two.y)), j, replace(two, x=one.x, y=one.y))
        if first and second and _fits(scene, after):
            form = draws.choice(("swap the {} and the {}", "exchange the places of the {} and the {}"))
            text = form.format(first.words, second.words)
            return text, after, text
    return None


_KINDS: dict[str, Callable[[Scene, Draws], Change | None]] = {
    "recolour": _recolour,
    "move": _move,
    "remove": _remove,
    "add": _add,
    "swap": _swap,
}
