"""Transforms of a picture as training groups: whole families, with the pools and instructions of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datagen.phrases import wordings
from datagen.transforms import jitter
from datagen.transforms.base import BASE
from datagen.transforms.edit import Edit
from datagen.transforms.families import FAMILIES
from datagen.transforms.space import BEYOND, choose
from fuselip.core.errors import UsageError
from fuselip.core.types import ImageRef, Input, Pair, Scalar

KINDS = (*FAMILIES, *BEYOND)
PHRASINGS = ("paper", "bank")
JITTERS = 10
MIN_DISTANCE = 2.0
"""Gray levels by which two answers differ at least, as `tgit/<family>` has it; checked on the model's pixels."""


def check_phrasing(phrasing: str) -> None:
    if phrasing not in PHRASINGS:
        raise UsageError(f"phrasing is {' or '.join(PHRASINGS)}, not {phrasing!r}")


def pairs(
    kind: str, image: ImageRef, phrasing: str, rng: np.random.Generator
) -> tuple[Sequence[Pair], dict[str, Scalar]]:
    """All edits of a family: 9 crops, 18 rotations, flips there and back, gray and back; ten drawn jitters.

    Families beyond the paper's give as many as their recipe has.
    """
    base = image.then(BASE)
    edits = _edits(kind, rng)
    texts = _texts(kind, edits, phrasing, rng)
    made = [
        Pair(Input(text, base.then(*edit.left)), Input(image=base.then(*edit.right)))
        for text, edit in zip(texts, edits, strict=True)
    ]
    return made, {"kind": kind, "phrasing": phrasing, "apart": MIN_DISTANCE}


def _edits(kind: str, rng: np.random.Generator) -> Sequence[Edit]:
    if kind == "jitter":
        drawn: dict[str, Edit] = {}
        while len(drawn) < JITTERS:
            brightness, contrast, saturation = rng.choice(jitter.FACTORS, 3).tolist()
            edit = jitter.edit((brightness, contrast, saturation))
            drawn.setdefault(edit.key, edit)
        return tuple(drawn.values())
    if kind in FAMILIES:
        return FAMILIES[kind].edits
    return choose(BEYOND[kind], BEYOND[kind].count, "none", rng)[0]


def _texts(kind: str, edits: Sequence[Edit], phrasing: str, rng: np.random.Generator) -> list[str]:
    if phrasing == "paper":
        return [edit.text for edit in edits]
    known = [wordings(kind, edit) for edit in edits]
    return [words[int(rng.integers(len(words)))] for words in known]
