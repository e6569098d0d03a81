"""The reference's own draws of TGIT edits: the same numbers from the same seed, from generators that are not global.

The reference draws from Python's and numpy's global generators; here each stream is an object, so that nothing else
can draw in between. Bugs of the reference that show in the draws are kept, because published scores contain them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from datagen.transforms import colorize, crop, flip, jitter, rotate
from datagen.transforms.edit import Edit
from datagen.transforms.families import FAMILIES


@dataclass(frozen=True)
class Mixture:
    """How an item is turned into pairs: left alone with `prob_identity`, else one family drawn with `weights`.

    `counts` says how many edits of that family the item then gets.
    """

    weights: Mapping[str, float]
    counts: Mapping[str, int]
    prob_identity: float

    @property
    def pairs_if_edited(self) -> float:
        return sum(weight * self.counts[name] for name, weight in self.weights.items())

    @property
    def pairs_per_item(self) -> float:
        return self.prob_identity + (1 - self.prob_identity) * self.pairs_if_edited


def training_mixture(unimodal_prob: float, multiaug: bool = True) -> Mixture:
    """The mixture in which a fraction `unimodal_prob` of the *pairs* (not items) is plain image and caption.

    With `multiaug` an item gets several edits of its family, and a family's weight is divided by their number.
    Raises ValueError unless 0 <= unimodal_prob <= 1.
    """
    if not 0 <= unimodal_prob <= 1:
        raise ValueError(f"unimodal_prob is a share of the pairs, from 0 to 1, not {unimodal_prob}")
    counts = {name: family.in_training if multiaug else 1 for name, family in FAMILIES.items()}
    raw = {name: family.share / counts[name] for name, family in FAMILIES.items()}
    weights = {name: value / sum(raw.values()) for name, value in raw.items()}
    mean = Mixture(weights, counts, 0.0).pairs_if_edited
    return Mixture(weights, counts, unimodal_prob * mean / (1 + unimodal_prob * (mean - 1)))


def evaluation_mixture(family: str) -> Mixture:
    """Every item gets all edits of one family."""
    return Mixture({family: 1.0}, {family: FAMILIES[family].in_evaluation}, 0.0)


class PaperDraws:
    """The two generators of the reference after `set_seed(seed)`; `item` consumes them as one dataset access does."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numpy = np.random.RandomState(seed)

    def item(self, mixture: Mixture) -> tuple[Edit, ...]:
        """The edits of the next item, () where it is left alone. In evaluation the first one is the question."""
        if self._random.random() < mixture.prob_identity:
            return ()
        names = list(mixture.weights)
        name = names[int(self._numpy.choice(len(names), p=list(mixture.weights.values())))]
        return self._edits(name, mixture.counts[name])

    def _edits(self, family: str, count: int) -> tuple[Edit, ...]:
        if family == "jitter":
            return tuple(jitter.edit((self._factor(), self._factor(), self._factor())) for _ in range(count))
        draw = {"crop": self._crop, "rotate": self._rotate, "flip": self._flip, "colorize": self._colorize}[family]
        return draw()[:count]

    def _crop(self) -> tuple[Edit, ...]:
        return self._shuffled(crop.EDITS)

    def _rotate(self) -> tuple[Edit, ...]:
        return self._shuffled(rotate.EDITS)

    def _factor(self) -> float:
        factor = round(self._random.uniform(0.3, 2.0), 1)
        return 1.1 if factor == 1.0 else factor

    def _flip(self) -> tuple[Edit, ...]:
        there_and_back = (flip.EDITS[:2], flip.EDITS[2:])
        return tuple(edit for index in self._numpy.permutation(2) for edit in there_and_back[index])

    def _colorize(self) -> tuple[Edit, ...]:
        if self._numpy.permutation(2)[0] == 1:
            return (colorize.GRAYSCALE, colorize.COLORIZE)
        # The reference has overwritten its image by the gray one when it comes to the second edit.
        return (colorize.COLORIZE, replace(colorize.GRAYSCALE, key="gray-to-gray", left=colorize.GRAY))

    def _shuffled(self, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        return tuple(edits[index] for index in self._numpy.permutation(len(edits)))
