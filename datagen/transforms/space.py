"""The parameter space of every family: what can be drawn from it, and where each edit lies in it.

Positions are points in a space of the family's own. Their Euclidean distance says how alike two edits are, and so how
hard their results are to tell apart; `choose` draws groups of a graded difficulty from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from datagen.transforms import blur, channels, crop, cutout, jitter, noise, perspective, shear, translate, zoom
from datagen.transforms.edit import Edit
from datagen.transforms.families import FAMILIES

Position = tuple[float, ...]
# Which of the edits left is taken next, by its distance to the nearest one chosen: the nearest, median, farthest.
DIFFICULTIES = {"hard": 0.0, "medium": 0.5, "easy": 1.0}
# Jitter has 4,913 settings; a graded group is chosen among so many drawn ones.
JITTER_POOL = 64
COUNT = 4


@dataclass(frozen=True)
class Space:
    """`pool` gives the edits that a group is drawn from, `position` is None where a family has no grades.

    `count`: how many edits a group has. `share`: of the augmented pairs, against the other families'.
    """

    name: str
    pool: Callable[[np.random.Generator], Sequence[Edit]]
    position: Callable[[Edit], Position] | None
    count: int = COUNT
    share: int = 1


def choose(space: Space, count: int, difficulty: str, rng: np.random.Generator) -> tuple[tuple[Edit, ...], float]:
    """`count` edits of the family that differ, in random order, and their mean distance in parameter space.

    Difficulty "none" draws evenly. Else one is drawn, and each next one is taken by its distance to the nearest chosen:
    the nearest left ("hard"), the median ("medium") or the farthest ("easy"); equal ones in random order.
    """
    pool = space.pool(rng)
    pool = [pool[index] for index in rng.permutation(len(pool))]
    if space.position is None:
        return tuple(pool[:count]), 0.0
    points = np.array([space.position(edit) for edit in pool])
    chosen = (
        list(range(min(count, len(pool)))) if difficulty == "none" else _spread(points, count, DIFFICULTIES[difficulty])
    )
    order = [chosen[index] for index in rng.permutation(len(chosen))]
    return tuple(pool[index] for index in order), _mean_distance(points[chosen])


def _spread(points: np.ndarray, count: int, quantile: float) -> list[int]:
    """Indices of `points` [N, D], the first one first."""
    chosen, nearest = [0], np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        left = np.setdiff1d(np.arange(len(points)), chosen)
        ranked = left[np.argsort(nearest[left], kind="stable")]
        chosen.append(int(ranked[round(quantile * (len(ranked) - 1))]))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


def _mean_distance(points: np.ndarray) -> float:
    count = len(points)
    if count < 2:
        return 0.0
    return float(np.linalg.norm(points[:, None] - points[None], axis=2).sum() / (count * (count - 1)))


def _jitter_pool(rng: np.random.Generator) -> Sequence[Edit]:
    """Distinct edits, each factor drawn as the paper draws it: uniform, to one digit, with 1.0 counted as 1.1."""
    drawn: dict[str, Edit] = {}
    while len(drawn) < JITTER_POOL:
        brightness, contrast, saturation = (_factor(rng) for _ in range(3))
        made = jitter.edit((brightness, contrast, saturation))
        drawn.setdefault(made.key, made)
    return list(drawn.values())


def _factor(rng: np.random.Generator) -> float:
    factor = round(float(rng.uniform(0.3, 2.0)), 1)
    return 1.1 if factor == 1.0 else factor


def _number(edit: Edit, tag: str) -> float:
    return float(edit.tags[tag])


def _cell(edit: Edit) -> Position:
    row, column = str(edit.tags["cell"]).split()
    return crop.ROWS.index(row) / 2, crop.COLUMNS.index(column) / 2


def _toward(edit: Edit, amount: float) -> Position:
    x, y = translate.WAYS[str(edit.tags["way"])]
    return x * amount, y * amount


def _perspective(edit: Edit) -> Position:
    x, y = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}[str(edit.tags["edge"])]
    return x * _number(edit, "percent") / 50, y * _number(edit, "percent") / 50


def _noise(edit: Edit) -> Position:
    kinds = tuple(noise.LEVELS)
    level = noise.LEVELS[str(edit.tags["kind"])].index(int(edit.tags["level"]))
    return float(kinds.index(str(edit.tags["kind"]))), level / 3


def _channels(edit: Edit) -> Position:
    """The permutation matrix: two orders that leave a channel in the same place are nearer."""
    return tuple(float(out == source) for out in str(edit.tags["order"]) for source in "rgb")


def _fixed(edits: Sequence[Edit]) -> Callable[[np.random.Generator], Sequence[Edit]]:
    return lambda rng: edits


def _paper(name: str, pool: Callable[[np.random.Generator], Sequence[Edit]] | None, at: Callable | None) -> Space:
    family = FAMILIES[name]
    return Space(name, pool or _fixed(family.edits), at, family.in_training, family.share)


PAPER = {
    space.name: space
    for space in (
        _paper("crop", None, _cell),
        _paper("rotate", None, lambda edit: (_number(edit, "angle") / 90,)),
        _paper("jitter", _jitter_pool, lambda edit: tuple(math.log2(_number(edit, c)) for c in jitter.CHANNELS)),
        _paper("flip", None, None),
        _paper("colorize", None, None),
    )
}
BEYOND = {
    space.name: space
    for space in (
        Space("shear", _fixed(shear.EDITS), lambda edit: _toward(edit, _number(edit, "degrees") / 40)),
        Space("perspective", _fixed(perspective.EDITS), _perspective),
        Space(
            "zoom",
            _fixed(zoom.EDITS),
            lambda edit: ((1 if edit.tags["way"] == "in" else -1) * math.log2(_number(edit, "factor")),),
        ),
        Space("blur", _fixed(blur.EDITS), lambda edit: (math.log2(_number(edit, "radius")) / 5,)),
        Space("noise", lambda rng: noise.edits(int(rng.integers(2**32))), _noise),
        Space("cutout", _fixed(cutout.EDITS), lambda edit: (*_cell(edit), _number(edit, "percent") / 50)),
        Space("channels", _fixed(channels.EDITS), _channels),
        Space("translate", _fixed(translate.EDITS), lambda edit: _toward(edit, _number(edit, "percent") / 50)),
    )
}
SPACES = PAPER | BEYOND
