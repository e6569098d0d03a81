"""What is true of a scene: which things a phrase means, how two things lie to each other, where a thing is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datagen.scenes.types import Scene, Thing
from datagen.scenes.vocabulary import HELD_OUT

FIELDS = ("size", "texture", "colour", "shape")  # in the order in which they are said
CLEAR = 120  # thousandths of the picture's side by which centres must differ for "left of" and the like
EXTREME = 80  # and by which the leftmost thing must lie left of the next
RELATIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
EXTREMES = {"leftmost": (-1, 0), "rightmost": (1, 0), "topmost": (0, -1), "bottommost": (0, 1)}
CELLS = (
    ("top left", "top center", "top right"),
    ("middle left", "center", "middle right"),
    ("bottom left", "bottom center", "bottom right"),
)
_BANDS = ((0, 320), (400, 600), (680, 1000))


@dataclass(frozen=True, slots=True)
class Phrase:
    """A description of things by some of their attributes; "" leaves one open."""

    size: str = ""
    texture: str = ""
    colour: str = ""
    shape: str = ""

    @property
    def words(self) -> str:
        """ "large striped red star", "red object": without article."""
        said = [word for word in (self.size, self.texture, self.colour) if word]
        return " ".join([*said, self.shape or "object"])

    @property
    def plural(self) -> str:
        return self.words + ("es" if self.words.endswith(("s", "x")) else "s")

    @property
    def held_out(self) -> bool:
        return (self.colour, self.shape) in HELD_OUT or (self.texture, self.shape) in HELD_OUT

    def matches(self, thing: Thing) -> bool:
        return (
            self.shape in ("", thing.shape)
            and self.colour in ("", thing.colour)
            and self.texture in ("", thing.texture)
            and self.size in ("", thing.size)
        )


def describe(thing: Thing, fields: Iterable[str]) -> Phrase:
    """The phrase that gives these attributes of a thing."""
    return Phrase(**{field: getattr(thing, field) for field in fields})


def count(scene: Scene, phrase: Phrase) -> int:
    return sum(map(phrase.matches, scene.things))


def groups(scene: Scene, fields: Sequence[str]) -> list[tuple[Phrase, int]]:
    """All things, those alike in `fields` together, with how many there are; in the order of drawing."""
    return list(Counter(describe(thing, fields) for thing in scene.things).items())


def related(a: Thing, relation: str, b: Thing) -> bool | None:
    """Whether `a` is left of (right of, above, below) `b`, by their centres; None where people could differ.

    True: by a clear margin, and not mainly in the other direction. False: by a clear margin the other way.
    """
    right, down = RELATIONS[relation]
    dx, dy = a.x - b.x, a.y - b.y
    along, across = dx * right + dy * down, abs(dx * down) + abs(dy * right)
    if along <= -CLEAR:
        return False
    return True if along >= CLEAR and 5 * along >= 4 * across else None


def cell(thing: Thing) -> str:
    """The part of the picture, of nine, in which a thing's centre clearly lies, or ""."""
    column, row = _band(thing.x), _band(thing.y)
    return "" if column is None or row is None else CELLS[row][column]


def cell_bounds(name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """((lowest, highest x), (lowest, highest y)) of the part of the picture of this name."""
    row, column = next((r, names.index(name)) for r, names in enumerate(CELLS) if name in names)
    return _BANDS[column], _BANDS[row]


def extreme(scene: Scene, phrase: Phrase, index: int) -> str:
    """The word (leftmost, ...) that picks thing `index` out of those `phrase` matches, or ""."""
    thing = scene.things[index]
    others = [other for i, other in enumerate(scene.things) if i != index and phrase.matches(other)]
    if not others or not phrase.matches(thing):
        return ""
    for word, (right, down) in EXTREMES.items():
        if all((thing.x - o.x) * right + (thing.y - o.y) * down >= EXTREME for o in others):
            return word
    return ""


def _band(value: int) -> int | None:
    return next((index for index, (low, high) in enumerate(_BANDS) if low <= value <= high), None)
