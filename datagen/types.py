"""What a builder is made of: a Recipe turns one source item into Groups of Pairs, or says why it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from datagen.sources.types import SourceItem
from fuselip.core.types import Group, Scalar


@dataclass(frozen=True)
class Skip:
    """Something a recipe did not make. `reason` is a short fixed code ("no_caption"), counted and taken by `retry`."""

    reason: str
    detail: str = ""


class Recipe(Protocol):
    """Makes training groups. Its output is a function of (item, rng) and of `params`, which are recorded.

    The rng is derived from the build's seed, the epoch and the item's key, never shared between items, so that the
    number of workers cannot matter. Raises nothing for a single bad item: it yields a Skip.
    """

    name: str
    version: int
    params: Mapping[str, Scalar]

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]: ...
