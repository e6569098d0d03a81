"""Training groups made on the fly of drawn scenes and textures, by name: `datagen.training:scenes`, `:textures`.

Every item follows from (seed, epoch, number) alone. Only scenes of the train split, and textures whose seeds no
benchmark uses; photos never. Needs numpy and Pillow, nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from datagen import training_scenes, training_transforms
from datagen.scenes.draws import Draws
from datagen.scenes.sample import sample_scene
from datagen.scenes.spec import picture
from datagen.scenes.types import Scene
from datagen.textures.render import KINDS as TEXTURES
from datagen.textures.render import reference
from fuselip.core import seeds
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import Group, ImageRef, Pair, Scalar

SIZE = 256
"""Pixels a side, as the benchmarks draw them."""

COUNT = 1_000_000
VERSION = 1

Maker = Callable[[np.random.Generator], tuple[Sequence[Pair], dict[str, Scalar]]]


class Made(ABC):
    """Items numbered from 0 to `count` - 1, drawn anew every epoch; an item gives one group of each kind.

    Kinds are joined by "+" (crop+rotate): of one picture, which is then drawn once. A kind that this picture gives
    nothing of is left out.
    """

    def __init__(self, name: str, kind: str, known: Sequence[str], count: int, seed: int) -> None:
        self.name, self.kinds, self._count, self._seed = name, tuple(kind.split("+")), count, seed
        for each in self.kinds:
            if each not in known:
                raise UsageError(f"{name}: no kind {each!r}{did_you_mean(each, known)}; known: {', '.join(known)}")
        if count < 1:
            raise UsageError(f"{name}: count is 1 or more, not {count}")

    def __len__(self) -> int:
        return self._count

    def order(self, epoch: int = 0, part: int = 0, parts: int = 1) -> Iterator[int]:
        """As numbered: the items are drawn, so that no order says anything."""
        return iter(range(part, self._count, parts))

    def read(self, number: int, epoch: int = 0) -> tuple[Group, ...]:
        """The groups of an item. IndexError for one that is not there."""
        if not 0 <= number < self._count:
            raise IndexError(f"item {number} of {self._count}")
        make = self._item(seeds.derive("training", VERSION, self.name, self._seed, epoch, number))
        key = f"{self.name}-{self._seed}-{epoch}-{number}"
        groups = []
        for kind in self.kinds:
            rng = seeds.generator("training", VERSION, self.name, self._seed, epoch, number, kind)
            pairs, params = make(kind)(rng)
            if pairs:
                groups.append(Group(f"{key}-{kind}", tuple(pairs), f"training-{kind}", VERSION, params, key))
        return tuple(groups)

    @abstractmethod
    def _item(self, seed: int) -> Callable[[str], Maker]:
        """For each kind the maker of its pairs, all of one picture."""


class Scenes(Made):
    """Drawn scenes of the train split."""

    def __init__(self, kind: str, count: int, seed: int, size: int, phrasing: str, answers: int) -> None:
        known = (*training_transforms.KINDS, *training_scenes.KINDS)
        super().__init__("scenes", kind, known, count, seed)
        self._size, self._phrasing, self._answers = size, phrasing, answers
        training_transforms.check_phrasing(phrasing)

    def _item(self, seed: int) -> Callable[[str], Maker]:
        scene = sample_scene(seed, "train")
        assert not scene.held_out, "a train scene shows no combination that is held out"

        def make(kind: str) -> Maker:
            if kind in training_scenes.KINDS:
                return partial(_scene_pairs, kind, scene, self._size, self._answers)
            return partial(training_transforms.pairs, kind, picture(scene, self._size), self._phrasing)

        return make


class Textures(Made):
    """Dead leaves, fractals, gradients and noise; their seeds are hashes, so that no benchmark's are met."""

    def __init__(self, kind: str, count: int, seed: int, size: int, phrasing: str) -> None:
        super().__init__("textures", kind, training_transforms.KINDS, count, seed)
        self._size, self._phrasing = size, phrasing
        training_transforms.check_phrasing(phrasing)

    def _item(self, seed: int) -> Callable[[str], Maker]:
        image: ImageRef = reference(list(TEXTURES)[seed % len(TEXTURES)], seed, self._size)
        return lambda kind: partial(training_transforms.pairs, kind, image, self._phrasing)


def _scene_pairs(
    kind: str, scene: Scene, size: int, answers: int, rng: np.random.Generator
) -> tuple[Sequence[Pair], dict[str, Scalar]]:
    draws = Draws(int(rng.integers(2**63)))
    return training_scenes.KINDS[kind](scene, size, draws)[:answers], {"kind": kind}


def scenes(
    kind: str = "crop",
    count: int = COUNT,
    seed: int = 0,
    size: int = SIZE,
    phrasing: str = "paper",
    answers: int = 4,
) -> Scenes:
    """Groups of scenes. Kinds: the transforms (crop, rotate, ...), captions, questions, regions, positions, edits,
    compositions. `phrasing` of transforms: "paper" or "bank"; `answers`: so many pairs of a scene at most, of the
    kinds that are not transforms."""
    return Scenes(kind, count, seed, size, phrasing, answers)


def textures(
    kind: str = "crop", count: int = COUNT, seed: int = 0, size: int = SIZE, phrasing: str = "paper"
) -> Textures:
    """Groups of transforms of textures, which take longer to draw than scenes: join kinds."""
    return Textures(kind, count, seed, size, phrasing)
