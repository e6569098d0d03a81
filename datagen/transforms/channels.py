"""Channel swap: the red, green and blue values of every pixel change places."""

from __future__ import annotations

from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import need_rgb, require
from fuselip.core.types import Operation

# The channels that become red, green and blue, in this order.
TEXTS = {
    "grb": "swap red and green",
    "bgr": "swap red and blue",
    "rbg": "swap green and blue",
    "brg": "move red to green, green to blue and blue to red",
    "gbr": "move red to blue, green to red and blue to green",
}


def channels(image: Image.Image | None, version: int, order: str) -> Image.Image:
    """`order` names the channels that become red, green and blue: "bgr" swaps red and blue."""
    image = need_rgb(image, "edit.channels", version)
    require(sorted(order) == ["b", "g", "r"], "edit.channels", f"the order must hold r, g and b once, not {order!r}")
    bands = dict(zip("rgb", image.split(), strict=True))
    return Image.merge("RGB", [bands[channel] for channel in order])


def _edit(order: str) -> Edit:
    step = Operation.of("edit.channels", 1, order=order)
    return Edit(order, TEXTS[order], (step,), order, tags={"order": order})


EDITS = tuple(_edit(order) for order in TEXTS)
