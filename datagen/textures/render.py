"""The image operation "texture": from a kind, a seed and a size to pixels."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from datagen.textures.fractals import fractals
from datagen.textures.gradients import gradients
from datagen.textures.leaves import leaves
from datagen.textures.noise import noise
from datagen.textures.stream import Stream
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Operation

VERSION = 1
MIN_SIZE, MAX_SIZE = 32, 1024
MAX_SEED = 2**63 - 1
DEFAULT_SIZE = 256

KINDS: dict[str, Callable[[Stream, int], Image.Image]] = {
    "leaves": leaves,
    "fractals": fractals,
    "gradients": gradients,
    "noise": noise,
}


def texture(image: Image.Image | None, version: int, kind: str, seed: int, size: int) -> Image.Image:
    """RGB, `size` x `size`, made of nothing: `image` is None. The same parameters give the same picture.

    Raises UserError for an unknown version or kind, a seed or size out of bounds, or an image.
    """
    if version != VERSION:
        raise UserError(f"image operation 'texture' has no version {version} here (known: {VERSION}); update fuselip")
    if image is not None:
        raise UserError(
            "image operation 'texture' makes a picture of its own; make it the first step, without a source"
        )
    if kind not in KINDS:
        raise UserError(f"image operation 'texture': no kind {kind!r}; kinds: {', '.join(KINDS)}")
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"image operation 'texture': the seed must be 0 to 2**63 - 1, not {seed}")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise UserError(f"image operation 'texture': the size must be {MIN_SIZE} to {MAX_SIZE} pixels, not {size}")
    return KINDS[kind](Stream("texture", version, kind, seed), size)


def reference(kind: str, seed: int, size: int = DEFAULT_SIZE) -> ImageRef:
    """The texture as a lazy image, which has no source bytes."""
    return ImageRef("", (Operation.of("texture", VERSION, kind=kind, seed=seed, size=size),))
