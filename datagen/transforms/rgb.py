"""What transforms of the base image check first: that there is an image, in RGB, and that the parameters are known."""

from __future__ import annotations

from PIL import Image

from fuselip.core.errors import UserError
from fuselip.core.operations import need

BLACK = (0, 0, 0)


def need_rgb(image: Image.Image | None, name: str, version: int, known: int = 1) -> Image.Image:
    """As `need`, and RGB. The image may be the caller's own: it must not be written to."""
    image = need(image, name, version, known)
    return image if image.mode == "RGB" else image.convert("RGB")


def require(condition: bool, name: str, message: str) -> None:
    """Raises UserError naming the operation where recorded parameters are outside what it knows."""
    if not condition:
        raise UserError(f"image operation {name!r}: {message}")
