"""The transforms recipe's options: what may be set, the presets, and the mixture that follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property

from datagen.recipes.transforms_pools import COMPOSABLE, COMPOSED
from datagen.transforms.paper import Mixture
from datagen.transforms.space import BEYOND, DIFFICULTIES, PAPER, SPACES
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import Scalar

SETS = {"paper": tuple(PAPER), "beyond": tuple(BEYOND), "all": tuple(SPACES)}
CHOICES: dict[str, tuple[str, ...]] = {
    "draw": ("one", "every"),
    "phrasing": ("paper", "bank"),
    "pools": ("paper", "clean"),
    "difficulty": ("none", *DIFFICULTIES),
    "measure": ("true", "false"),
}
MOST_COMPOSED = 100


@dataclass(frozen=True)
class Options:
    """See `datagen.recipes.transforms.Transforms` for what each means. "" and -1.0 stand for what the preset has."""

    preset: str = "none"
    families: str = ""
    draw: str = ""
    unimodal: float = -1.0
    phrasing: str = ""
    pools: str = ""
    difficulty: str = "none"
    compose: int = 0
    resized_crop: bool = True
    measure: str = ""
    min_distance: float = 2.0

    def to_params(self) -> dict[str, Scalar]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The families, each once."""
        return SETS.get(self.families) or tuple(self.families.split("+"))

    @cached_property
    def mixture(self) -> Mixture:
        """`unimodal` is a share of the pairs, so the share of the *items* left alone is larger (see FuseLIP's code).

        A family's weight is its share of the pairs divided by the pairs that an item gets of it; compositions add to
        every item that is edited.
        """
        counts = {name: SPACES[name].count for name in self.names}
        raw = {name: SPACES[name].share / counts[name] if self.draw == "one" else 1.0 for name in self.names}
        total = sum(raw.values()) if self.draw == "one" else 1.0
        weights = {name: value / total for name, value in raw.items()}
        mean = Mixture(weights, counts, 0.0).pairs_if_edited + COMPOSED * self.compose
        return Mixture(weights, counts, self.unimodal * mean / (1 + self.unimodal * (mean - 1)))


_BASIS = Options(
    families="paper", draw="every", unimodal=0.0, phrasing="bank", pools="clean", difficulty="none", measure="true"
)
_PAPER = replace(_BASIS, draw="one", phrasing="paper", pools="paper", measure="false")
# unimodal: as in the published training scripts.
PRESETS = {
    "none": _BASIS,
    "paper-cc3m": replace(_PAPER, preset="paper-cc3m", unimodal=0.9),
    "paper-cc12m": replace(_PAPER, preset="paper-cc12m", unimodal=0.971),
}


def resolve(given: Options) -> Options:
    """`given` with the preset's values filled in. Raises UsageError for names and values that are not known."""
    _one_of("preset", given.preset, PRESETS)
    preset = PRESETS[given.preset]
    unset = {name: getattr(preset, name) for name in ("families", *CHOICES) if not getattr(given, name)}
    if given.unimodal == -1.0:
        unset["unimodal"] = preset.unimodal
    found = replace(given, **unset)
    for name, known in CHOICES.items():
        _one_of(name, getattr(found, name), known)
    for family in found.names:
        _one_of("families", family, (*SETS, *SPACES) if len(found.names) == 1 else SPACES)
    if len(set(found.names)) < len(found.names):
        raise UsageError(f"families={found.families}: a family is named twice")
    _check_numbers(found)
    return found


def _check_numbers(options: Options) -> None:
    if not 0 <= options.unimodal <= 1:
        raise UsageError(f"unimodal={options.unimodal}: it is a share of the pairs, from 0 to 1")
    if not 0 <= options.min_distance < 255:
        raise UsageError(f"min_distance={options.min_distance}: it is in gray levels, from 0 to below 255")
    if not 0 <= options.compose <= MOST_COMPOSED:
        raise UsageError(f"compose={options.compose}: it is a number of groups for each item, 0 to {MOST_COMPOSED}")
    usable = [name for name in options.names if name in COMPOSABLE]
    if options.compose and len(usable) < 2:
        raise UsageError(
            f"compose={options.compose} needs two families to combine (not colorize); name them in families"
        )


def _one_of(name: str, value: str, known: Iterable[str]) -> None:
    known = list(known)
    if value not in known:
        raise UsageError(f"{name}={value}: not known{did_you_mean(value, known)}; known: {', '.join(known)}")
