"""A Scene: things on a background, as a frozen value; the picture, the texts and the answers are functions of it."""

from __future__ import annotations

from dataclasses import dataclass

from datagen.scenes.vocabulary import HELD_OUT

MAX_THINGS = 8


@dataclass(frozen=True, slots=True)
class Thing:
    """One object. `x`, `y`: its centre in thousandths of the picture's side, from the left and from the top.

    `shape`, `colour`, `texture` and `size` are words of `vocabulary`; `rotation` is in degrees, a multiple of 15.
    """

    shape: str
    colour: str
    texture: str
    size: str
    x: int
    y: int
    rotation: int = 0

    @property
    def held_out(self) -> bool:
        """Whether its colour or its texture is kept away from its shape in training."""
        return (self.colour, self.shape) in HELD_OUT or (self.texture, self.shape) in HELD_OUT


@dataclass(frozen=True, slots=True)
class Background:
    """A field of values in [0, 1], given by `kind` and `variant`, that leads from `tone` to `other`."""

    kind: str
    tone: str
    other: str
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """`things` in the order in which they are drawn: later ones hide earlier ones."""

    background: Background
    things: tuple[Thing, ...]

    @property
    def held_out(self) -> bool:
        return any(thing.held_out for thing in self.things)
