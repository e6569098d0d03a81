"""Small English: articles, numbers, lists, and phrases that mean exactly one thing of a scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations

from datagen.scenes.draws import Draws
from datagen.scenes.truth import FIELDS, Phrase, count, describe, extreme
from datagen.scenes.types import Scene
from datagen.scenes.vocabulary import COLOURS, HALF_SIZES, SHAPES, TEXTURES

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
VALUES: dict[str, tuple[str, ...]] = {
    "size": tuple(HALF_SIZES),
    "texture": TEXTURES,
    "colour": tuple(COLOURS),
    "shape": tuple(SHAPES),
}


def a(words: str) -> str:
    """With the indefinite article."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def counted(phrase: Phrase, number: int) -> str:
    """ "a red star", "three red stars"."""
    return a(phrase.words) if number == 1 else f"{NUMBERS[number]} {phrase.plural}"


def listed(parts: Sequence[str]) -> str:
    """ "x", "x and y", "x, y and z"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


@lru_cache
def subsets(without: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    """Up to three attributes to say, few first; those in `without` are never said."""
    fields = [field for field in FIELDS if field not in without]
    return tuple(said for size in (1, 2, 3) for said in combinations(fields, size) if said != ("size",))


def unique_phrases(scene: Scene, index: int, without: tuple[str, ...] = ()) -> list[Phrase]:
    """All phrases (by `subsets`) that match thing `index` and nothing else."""
    thing = scene.things[index]
    phrases = (describe(thing, said) for said in subsets(without))
    return [phrase for phrase in phrases if count(scene, phrase) == 1]


def unique_phrase(scene: Scene, index: int, draws: Draws, without: tuple[str, ...] = ()) -> Phrase | None:
    """One that means thing `index` alone, often one that names its shape; None where there is none."""
    phrases = unique_phrases(scene, index, without)
    if named := [phrase for phrase in phrases if phrase.shape]:
        phrases = named if draws.chance(80) else phrases
    return draws.choice(phrases) if phrases else None


def pick_out(scene: Scene, index: int, draws: Draws) -> str:
    """ "the red star" or "the leftmost circle": words that mean thing `index` alone; "" where there are none."""
    if phrase := unique_phrase(scene, index, draws):
        return f"the {phrase.words}"
    for said in draws.shuffled((("shape",), ("colour", "shape"))):
        phrase = describe(scene.things[index], said)
        if word := extreme(scene, phrase, index):
            return f"the {word} {phrase.words}"
    return ""


def absent(scene: Scene, phrases: Iterable[Phrase]) -> list[Phrase]:
    """Those that match nothing; of combinations held out only where the scene itself, of the test split, has one."""
    allowed = scene.held_out
    return [phrase for phrase in phrases if not count(scene, phrase) and (allowed or not phrase.held_out)]
