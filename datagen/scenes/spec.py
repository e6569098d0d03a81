"""A scene as one line of text and back: the whole recipe of its picture, so that an edited scene is one more line.

    KIND,TONE,OTHER,VARIANT/SHAPE,COLOUR,TEXTURE,SIZE,X,Y,ROTATION/...

for instance `gradient,pale blue,pale pink,3/star,red,striped,large,512,300,15`. There is one way to write each scene.
"""

from __future__ import annotations

from collections.abc import Container

from datagen.scenes.types import MAX_THINGS, Background, Scene, Thing
from datagen.scenes.vocabulary import BACKGROUNDS, COLOURS, HALF_SIZES, SHAPES, TEXTURES, TONES
from fuselip.core.errors import UserError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import ImageRef, Operation

RENDER_VERSION = 1
MAX_LENGTH = 1000


def format_spec(scene: Scene) -> str:
    ground = scene.background
    parts = [f"{ground.kind},{ground.tone},{ground.other},{ground.variant}"]
    parts += [f"{t.shape},{t.colour},{t.texture},{t.size},{t.x},{t.y},{t.rotation}" for t in scene.things]
    return "/".join(parts)


def parse_spec(spec: str) -> Scene:
    """The scene of a line. Raises UserError for anything that `format_spec` would not have written."""
    if not isinstance(spec, str) or len(spec) > MAX_LENGTH:
        raise UserError(f"a scene is a text of at most {MAX_LENGTH} characters; this one is {str(spec)[:60]!r}...")
    first, *rest = spec.split("/")
    if len(rest) > MAX_THINGS:
        raise UserError(f"a scene has at most {MAX_THINGS} things, this one {len(rest)}: {spec!r}")
    kind, tone, other, variant = _fields(first, 4, "KIND,TONE,OTHER,VARIANT", spec)
    _known(kind, BACKGROUNDS, "background", spec)
    _known(tone, TONES, "tone", spec)
    _known(other, TONES, "tone", spec)
    ground = Background(kind, tone, other, _number(variant, BACKGROUNDS[kind] - 1, spec))
    return Scene(ground, tuple(_thing(part, spec) for part in rest))


def picture(scene: Scene, size: int) -> ImageRef:
    """The scene's picture, `size` pixels a side, drawn when it is loaded."""
    operation = Operation.of("scene", RENDER_VERSION, spec=format_spec(scene), size=size)
    return ImageRef(source="", operations=(operation,))


def _thing(part: str, spec: str) -> Thing:
    shape, colour, texture, size, x, y, rotation = _fields(part, 7, "SHAPE,COLOUR,TEXTURE,SIZE,X,Y,ROTATION", spec)
    _known(shape, SHAPES, "shape", spec)
    _known(colour, COLOURS, "colour", spec)
    _known(texture, TEXTURES, "texture", spec)
    _known(size, HALF_SIZES, "size", spec)
    degrees = _number(rotation, 345, spec)
    if degrees % 15:
        raise UserError(f"rotations are multiples of 15 degrees, not {degrees}; in the scene {spec!r}")
    return Thing(shape, colour, texture, size, _number(x, 1000, spec), _number(y, 1000, spec), degrees)


def _fields(part: str, count: int, form: str, spec: str) -> list[str]:
    fields = part.split(",")
    if len(fields) != count:
        raise UserError(f"{part!r} is not of the form {form}; in the scene {spec!r}")
    return fields


def _known(word: str, words: Container[str], what: str, spec: str) -> None:
    if word not in words:
        hint = did_you_mean(word, list(words))  # type: ignore[call-overload]
        raise UserError(f"unknown {what} {word!r}{hint}; in the scene {spec!r}")


def _number(text: str, highest: int, spec: str) -> int:
    """Decimal digits without sign or leading zeros: a scene is written in one way only."""
    if len(text) <= 4 and text.isascii() and text.isdecimal() and str(int(text)) == text and int(text) <= highest:
        return int(text)
    raise UserError(f"{text!r} is not a whole number from 0 to {highest}; in the scene {spec!r}")
