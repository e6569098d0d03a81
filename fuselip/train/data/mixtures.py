"""Mixtures of sources that are made on the fly, by name: what training without any download reads."""

from __future__ import annotations

from collections.abc import Mapping

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.train.data.config import Part

SCENES, TEXTURES = "datagen.training:scenes", "datagen.training:textures"
FAMILIES = "crop+rotate+jitter+flip+colorize"
# The families of few edits again: in whole pools, four of five pairs are crops, rotations and jitters.
FEW = "flip+colorize"

# Shares of the pairs, by source and kinds. Kinds that are joined share their picture, which is dear to draw.
TGIT: Mapping[tuple[str, str], float] = {
    (SCENES, FAMILIES): 0.45,
    (TEXTURES, FAMILIES): 0.35,
    (SCENES, FEW): 0.12,
    (TEXTURES, FEW): 0.08,
}
KNOWN: Mapping[tuple[str, str], float] = {
    (SCENES, "captions"): 0.2,
    (SCENES, "questions"): 0.2,
    (SCENES, "attributes"): 0.15,
    (SCENES, "regions"): 0.15,
    (SCENES, "positions"): 0.1,
    (SCENES, "edits"): 0.1,
    (SCENES, "compositions"): 0.1,
}

MIXTURES: Mapping[str, Mapping[tuple[str, str], float]] = {
    "tgit": TGIT,
    "scenes": KNOWN,
    "captions": {(SCENES, "captions"): 1.0},
    "made": {key: share / 2 for shares in (TGIT, KNOWN) for key, share in shares.items()},
}


def mixture(name: str) -> tuple[Part, ...]:
    """ "tgit": the five families; "scenes": all known of scenes; "captions": theirs alone; "made": the first two."""
    if name not in MIXTURES:
        raise UsageError(f"there is no mixture {name!r}{did_you_mean(name, MIXTURES)}; known: {', '.join(MIXTURES)}")
    return tuple(Part(source, share, {"kind": kind}) for (source, kind), share in MIXTURES[name].items())
