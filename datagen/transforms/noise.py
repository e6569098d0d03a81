"""Noise: Gaussian on every value, or black and white pixels; the grains follow from a seed among the parameters."""

from __future__ import annotations

import numpy as np
from PIL import Image

from datagen.transforms.edit import Edit
from datagen.transforms.rgb import need_rgb, require
from fuselip.core.types import Operation

LEVELS = {"gaussian": (10, 20, 40, 80), "salt-and-pepper": (5, 10, 20, 40)}
_TEXTS = {
    "gaussian": "add gaussian noise of strength {level}",
    "salt-and-pepper": "add salt and pepper noise to {level} percent of the pixels",
}
# Four bytes are summed for one nearly normal value: their mean and standard deviation.
_MEAN, _DEVIATION = 4 * 127.5, (4 * (256**2 - 1) / 12) ** 0.5


def noise(image: Image.Image | None, version: int, kind: str, level: int, seed: int) -> Image.Image:
    """`level`: the standard deviation in gray levels ("gaussian") or the percentage of pixels ("salt-and-pepper").

    Drawn from raw bits, whose stream numpy keeps; those of its distributions may change between releases.
    """
    image = need_rgb(image, "edit.noise", version)
    require(kind in LEVELS, "edit.noise", f"no kind {kind!r}; kinds: {', '.join(LEVELS)}")
    limit = 255 if kind == "gaussian" else 100
    require(0 <= level <= limit, "edit.noise", f"the level must be 0 to {limit}, not {level}")
    require(seed >= 0, "edit.noise", f"the seed must not be negative, but is {seed}")
    pixels = np.asarray(image)
    if kind == "gaussian":
        grains = _bytes(seed, 4 * pixels.size).reshape(4, *pixels.shape).sum(0, dtype=np.int16)
        steps = ((grains - np.int16(_MEAN)) * np.float32(level / _DEVIATION)).round().astype(np.int16)
        return Image.fromarray(np.clip(pixels + steps, 0, 255).astype(np.uint8))
    draws = _bytes(seed, 2 * pixels.shape[0] * pixels.shape[1]).view("<u2").reshape(pixels.shape[:2])
    hit = (draws >> 1) < (level * 2**15) // 100
    grain = ((draws & 1) * 255).astype(np.uint8)
    return Image.fromarray(np.where(hit[:, :, None], grain[:, :, None], pixels))


def _bytes(seed: int, count: int) -> np.ndarray:
    """uint8 [count], the same on machines of either byte order."""
    words = np.random.PCG64(seed).random_raw(-(-count // 8))
    return words.astype("<u8").view(np.uint8)[:count]


def edits(seed: int) -> tuple[Edit, ...]:
    """All of them, with the same grains: they differ in kind and level alone."""
    return tuple(_edit(kind, level, seed) for kind, levels in LEVELS.items() for level in levels)


def _edit(kind: str, level: int, seed: int) -> Edit:
    step = Operation.of("edit.noise", 1, kind=kind, level=level, seed=seed)
    key, text = f"{kind}-{level}", _TEXTS[kind].format(level=level)
    return Edit(key, text, (step,), key, tags={"kind": kind, "level": level})
