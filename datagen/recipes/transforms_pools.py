"""Which edits stand in one group: a draw from a family, a fixed pool, or two families combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from datagen.transforms import colorize, flip
from datagen.transforms.edit import Edit, Steps
from datagen.transforms.space import SPACES, choose

# Colorize is left out: after it, or before, what other edits do to the colours cannot be told.
COMPOSABLE = tuple(name for name in SPACES if name != "colorize")
# Two edits of the first family, each followed by each of two of the second.
COMPOSED = 4


@dataclass(frozen=True)
class Pool:
    """The edits of one group. `parts[i]` are the edits, with their families, that make up `edits[i]`.

    `spread` is their mean distance in parameter space, 0 where the family has none; `graded` if it was chosen for.
    """

    family: str
    edits: tuple[Edit, ...]
    parts: tuple[tuple[tuple[str, Edit], ...], ...]
    spread: float = 0.0
    graded: bool = False


def single(family: str, pools: str, difficulty: str, rng: np.random.Generator) -> Pool:
    """A group of one family. `pools` "paper" has the paper's flip and colorize pools, "clean" ones without repeats."""
    if family in ("flip", "colorize"):
        edits, spread = (_flips if family == "flip" else _colours)(pools, rng), 0.0
    else:
        edits, spread = choose(SPACES[family], SPACES[family].count, difficulty, rng)
    graded = difficulty != "none" and SPACES[family].position is not None
    return Pool(family, edits, tuple(((family, edit),) for edit in edits), spread, graded)


def composed(families: Sequence[str], difficulty: str, rng: np.random.Generator) -> Pool:
    """Two families drawn in random order, two edits of each, all four combinations: "A, then B"."""
    usable = [name for name in families if name in COMPOSABLE]
    first, second = (usable[index] for index in rng.permutation(len(usable))[:2])
    halves = [_from_base(name, difficulty, rng) for name in (first, second)]
    parts = [((first, one), (second, two)) for one in halves[0][0] for two in halves[1][0]]
    parts = [parts[index] for index in rng.permutation(len(parts))]
    edits = tuple(_then(part[0][1], part[1][1]) for part in parts)
    spread = (halves[0][1] + halves[1][1]) / 2
    graded = difficulty != "none" and any(SPACES[name].position is not None for name in (first, second))
    return Pool(f"{first}+{second}", edits, tuple(parts), spread, graded)


def _from_base(family: str, difficulty: str, rng: np.random.Generator) -> tuple[tuple[Edit, ...], float]:
    """Two edits that start at the base image."""
    if family == "flip":
        return tuple(edit for edit in flip.EDITS if not edit.left), 0.0
    return choose(SPACES[family], 2, difficulty, rng)


def _then(first: Edit, second: Edit) -> Edit:
    key = f"{first.key}+{second.key}"
    return Edit(key, f"{first.text}, then {second.text}", first.right + second.right, key)


def _flips(pools: str, rng: np.random.Generator) -> tuple[Edit, ...]:
    """Paper: there and back along each axis, so that two of the four answers are the base image itself.

    Clean: once around base, horizontal, both, vertical, base, so that the four answers are four images.
    """
    if pools == "paper":
        there_and_back = (flip.EDITS[:2], flip.EDITS[2:])
        return tuple(edit for index in rng.permutation(2) for edit in there_and_back[index])
    horizontal, _, vertical, _ = flip.EDITS
    (across,), (down,) = horizontal.right, vertical.right
    stops: dict[str, Steps] = {"base": (), "horizontal": (across,), "both": (across, down), "vertical": (down,)}
    names = [*stops, "base"]
    edits = []
    for edit, (start, end) in zip((horizontal, vertical) * 2, pairwise(names), strict=True):
        tags = {**edit.tags, "from": start}
        edits.append(Edit(f"{start}-to-{end}", edit.text, stops[end], end, left=stops[start], tags=tags))
    return tuple(edits[index] for index in rng.permutation(len(edits)))


def _colours(pools: str, rng: np.random.Generator) -> tuple[Edit, ...]:
    """Both directions in random order. In the paper's pools, grayscale after colorize starts at the gray image too."""
    if rng.integers(2):
        return (colorize.GRAYSCALE, colorize.COLORIZE)
    gray_to_gray = replace(colorize.GRAYSCALE, key="gray-to-gray", left=colorize.GRAY)
    return (colorize.COLORIZE, gray_to_gray if pools == "paper" else colorize.GRAYSCALE)
