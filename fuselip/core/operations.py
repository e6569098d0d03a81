"""The table of image operations by name, and the generic ones. An Operation carries no code, only a name of this table.

Each is a function `(image: PIL.Image | None, version: int, **params) -> PIL.Image` that leaves its input as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache

from PIL import Image

from fuselip.core.errors import UserError
from fuselip.core.plugins import did_you_mean, load
from fuselip.core.types import Operation

OPERATIONS: dict[str, str] = {
    "resize": "fuselip.core.operations:resize",
    "box": "fuselip.core.operations:box",
    "tgit.base": "datagen.transforms.base:base",
    "tgit.crop": "datagen.transforms.crop:crop",
    "tgit.rotate": "datagen.transforms.rotate:rotate",
    "tgit.jitter": "datagen.transforms.jitter:jitter",
    "tgit.flip": "datagen.transforms.flip:flip",
    "tgit.grayscale": "datagen.transforms.colorize:grayscale",
    "tgit.resized_crop": "datagen.transforms.resized_crop:resized_crop",
    "scene": "datagen.scenes.render:scene",
    "texture": "datagen.textures.render:texture",
    "edit.shear": "datagen.transforms.shear:shear",
    "edit.perspective": "datagen.transforms.perspective:perspective",
    "edit.zoom": "datagen.transforms.zoom:zoom",
    "edit.blur": "datagen.transforms.blur:blur",
    "edit.noise": "datagen.transforms.noise:noise",
    "edit.cutout": "datagen.transforms.cutout:cutout",
    "edit.jpeg": "datagen.transforms.jpeg:jpeg",
    "edit.channels": "datagen.transforms.channels:channels",
    "edit.translate": "datagen.transforms.translate:translate",
    "dilated_crop": "datagen.transforms.dilated_crop:dilated_crop",
}

MAX_SIDE = 8192

# What a recorded parameter may be, by the annotation of the function: records come from files too.
_KINDS: dict[object, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def apply(operation: Operation, image: Image.Image | None) -> Image.Image:
    """Raises UserError for an operation, a version or parameters that this installation does not know."""
    function, signature = _find(operation.name)
    params = dict(operation.params)
    try:
        signature.bind(image, operation.version, **params)
    except TypeError as error:
        raise UserError(f"image operation {operation.name!r}: {error}; it was recorded by another version") from error
    for name, value in params.items():
        kind = signature.parameters[name].annotation
        if type(value) not in _KINDS.get(kind, (type(value),)):
            raise UserError(
                f"image operation {operation.name!r}: {name} is to be {kind}, not {value!r}; mend the record"
            )
    result: Image.Image = function(image, operation.version, **params)
    return result


def need(image: Image.Image | None, name: str, version: int, known: int = 1) -> Image.Image:
    """The image, after checking that there is one and that `version` is one we know (1 to `known`)."""
    if not 1 <= version <= known:
        raise UserError(f"image operation {name!r} has no version {version} here (known: 1 to {known}); update fuselip")
    if image is None:
        raise UserError(f"image operation {name!r} needs an image, but is the first step of one without source bytes")
    return image


def need_sides(name: str, width: int, height: int) -> None:
    """UserError unless an image of this size is one we would make: 1 to MAX_SIDE pixels a side."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise UserError(f"image operation {name!r}: sides must be 1 to {MAX_SIDE} pixels, not {width}x{height}")


def resize(image: Image.Image | None, version: int, width: int, height: int) -> Image.Image:
    """Bicubic, antialiased, to `width` x `height` pixels; the aspect is not kept, the mode is."""
    image = need(image, "resize", version)
    need_sides("resize", width, height)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def box(image: Image.Image | None, version: int, left: int, top: int, right: int, bottom: int) -> Image.Image:
    """The rectangle of pixels left <= x < right, top <= y < bottom. Raises UserError if it is not inside the image."""
    image = need(image, "box", version)
    if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
        where = f"({left}, {top}, {right}, {bottom})"
        size = f"{image.width}x{image.height}"
        raise UserError(f"image operation 'box': {where} is empty or reaches outside the image of {size} pixels")
    return image.crop((left, top, right, bottom))


@cache
def _find(name: str) -> tuple[Callable[..., Image.Image], inspect.Signature]:
    if name not in OPERATIONS:
        hint = did_you_mean(name, OPERATIONS)
        raise UserError(f"unknown image operation {name!r}{hint}; known: {', '.join(OPERATIONS)}")
    function = load(OPERATIONS[name])
    return function, inspect.signature(function)
