"""From a seed to a scene: the sampler that gives the splits. Version 1 is frozen (see `vocabulary`)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from datagen.scenes.draws import Draws
from datagen.scenes.render import visible_fractions
from datagen.scenes.types import Background, Scene, Thing
from datagen.scenes.vocabulary import (
    BACKGROUNDS,
    COLOURS,
    DARK_TONES,
    HALF_SIZES,
    HELD_OUT,
    LIGHT_TONES,
    SHAPES,
    SPLITS,
    TEXTURES,
    TONES,
)
from fuselip.core.errors import UsageError
from fuselip.core.seeds import derive

SAMPLING_VERSION = 1
MIN_VISIBLE = 0.7  # of each thing's area
MARGIN = 12  # thousandths between a thing and the picture's border
MIN_CONTRAST = 90  # distance in RGB between a thing's colour and the tones behind it
# Least distance of two centres, in percent of the sum of their half extents: apart; and overlapping but in view.
APART, OVERLAPPING = 108, 72
# Bounded in the corners as well: two squares tilted towards each other overlap at this distance at the most.
MAY_TOUCH = 116
_TRIES = 40


def sample_scene(seed: int, split: str = "train") -> Scene:
    """The scene of a seed (any whole number) in "train", "val" or "test"; the splits share no seeds.

    Train and val hold no combination of `HELD_OUT`, every test scene holds at least one. Raises UsageError for an
    unknown split.
    """
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r} of the scenes; known: {', '.join(SPLITS)}")
    draws = Draws(derive("scenes", SAMPLING_VERSION, split, seed))
    while True:  # nine of ten attempts succeed
        ground = _background(draws)
        looks = _looks(draws, ground, split)
        things = _arrange(draws, looks, OVERLAPPING if draws.chance(35) else APART)
        if things and is_clear(scene := Scene(ground, things)):
            assert scene.held_out == (split == "test")
            return scene


def is_clear(scene: Scene) -> bool:
    """Whether each thing can be recognised: it stands out, lies in the picture and is hidden by less than a third."""
    usable = contrasting(scene.background)
    things = scene.things
    if any(thing.colour not in usable or not _inside(thing) for thing in things):
        return False
    near = [(a, b) for i, a in enumerate(things) for b in things[:i] if not _distant(a, b, MAY_TOUCH)]
    if any(a.colour == b.colour or not _distant(a, b, OVERLAPPING) for a, b in near):
        return False
    return not near or min(visible_fractions(scene)) >= MIN_VISIBLE


@lru_cache(maxsize=1024)
def _contrasting(tone: str, other: str) -> tuple[str, ...]:
    grounds = [TONES[tone], TONES[other]]
    return tuple(
        colour
        for colour, rgb in COLOURS.items()
        if all(sum((a - b) ** 2 for a, b in zip(rgb, g, strict=True)) >= MIN_CONTRAST**2 for g in grounds)
    )


def contrasting(ground: Background) -> tuple[str, ...]:
    """The colours that stand out from a background."""
    return _contrasting(ground.tone, ground.other)


def position(draws: Draws, size: str) -> tuple[int, int]:
    """A place for the centre of a thing of this size."""
    low = HALF_SIZES[size] + MARGIN
    return draws.between(low, 1000 - low), draws.between(low, 1000 - low)


def random_look(draws: Draws, colours: tuple[str, ...], allow_held_out: bool) -> Thing:
    """A thing of random shape, colour, texture and rotation; its size and its place are still to be chosen."""
    while True:
        shape = draws.choice(tuple(SHAPES))
        texture = "plain" if draws.chance(40) else draws.choice(TEXTURES[1:])
        thing = Thing(shape, draws.choice(colours), texture, "medium", 500, 500, draws.choice(SHAPES[shape]))
        if allow_held_out or not thing.held_out:
            return thing


def _background(draws: Draws) -> Background:
    kind = draws.choice(("plain", "plain", "gradient", "noise", "pattern"))
    tones = tuple(DARK_TONES if draws.chance(35) else LIGHT_TONES)
    tone, other = draws.shuffled(tones)[:2]
    return Background(kind, tone, tone if kind == "plain" else other, draws.below(BACKGROUNDS[kind]))


def _looks(draws: Draws, ground: Background, split: str) -> list[Thing]:
    """The things without their places: all different, alike in one respect, or several of the same."""
    colours, test = contrasting(ground), split == "test"
    style = draws.below(100)
    if style < 8:
        looks = [random_look(draws, colours, test)]
    elif style < 45:
        looks = [random_look(draws, colours, test) for _ in range(draws.between(2, 5))]
    elif style < 78:
        looks = _alike(draws, colours, test)
    else:
        looks = [random_look(draws, colours, test)] * draws.between(2, 4)
        looks += [random_look(draws, colours, test) for _ in range(draws.between(1, 3))]
    if test:
        looks[0] = replaced = _hold_out(draws, looks[0], colours)
        if style >= 78:
            looks = [replaced if look == looks[1] else look for look in looks]
    few = len(looks) <= 3
    sized: dict[Thing, str] = {}
    for look in looks:  # things that look the same have the same size: they are counted together
        sized.setdefault(look, draws.choice(("small", "medium", "large") if few else ("small", "small", "medium")))
    if not few and draws.chance(40):
        sized[draws.choice([look for look in looks if looks.count(look) == 1] or looks[:1])] = "medium"
    return draws.shuffled([replace(look, size=sized[look]) for look in looks])


def _alike(draws: Draws, colours: tuple[str, ...], allow_held_out: bool) -> list[Thing]:
    """Things most of which share their shape or their colour, so that one word alone does not tell them apart."""
    model = random_look(draws, colours, allow_held_out)
    by_shape = draws.chance(60)
    looks = [model]
    for _ in range(draws.between(1, 4)):
        look = random_look(draws, colours, allow_held_out)
        if draws.chance(65):
            changed = (
                replace(look, shape=model.shape, rotation=draws.choice(SHAPES[model.shape]))
                if by_shape
                else replace(look, colour=model.colour)
            )
            look = changed if allow_held_out or not changed.held_out else look
        looks.append(look)
    return looks


def _hold_out(draws: Draws, look: Thing, colours: tuple[str, ...]) -> Thing:
    """The thing with a combination that training never shows. Colours and textures are kept where they can be."""
    pairs = sorted(pair for pair in HELD_OUT if pair[0] in colours or pair[0] in TEXTURES)
    word, shape = draws.choice(pairs)
    changed = replace(look, shape=shape, rotation=draws.choice(SHAPES[shape]))
    return replace(changed, texture=word) if word in TEXTURES else replace(changed, colour=word)


def _arrange(draws: Draws, looks: list[Thing], spacing: int) -> tuple[Thing, ...]:
    """Places for all things, later ones on top; () where there is no room."""
    placed: list[Thing] = []
    for look in looks:
        for _ in range(_TRIES):
            x, y = position(draws, look.size)
            thing = replace(look, x=x, y=y)
            if all(_distant(thing, other, MAY_TOUCH if thing.colour == other.colour else spacing) for other in placed):
                placed.append(thing)
                break
        else:
            return ()
    return tuple(placed)


def _inside(thing: Thing) -> bool:
    low = HALF_SIZES[thing.size] + MARGIN
    return low <= thing.x <= 1000 - low and low <= thing.y <= 1000 - low


def _distant(a: Thing, b: Thing, percent: int) -> bool:
    reach = (HALF_SIZES[a.size] + HALF_SIZES[b.size]) * percent // 100
    return (a.x - b.x) ** 2 + (a.y - b.y) ** 2 >= reach * reach
