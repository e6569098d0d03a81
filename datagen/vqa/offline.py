"""Backend `offline`: grounded questions about a caption by grammar alone, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from datagen.vqa.grammar import drafts
from datagen.vqa.rules import opening
from datagen.vqa.types import Failed, Row, Said
from fuselip.core import seeds
from fuselip.core.types import Scalar

VERSION = 1
# How often a kind is taken where several are there: the rare ones first.
_WEIGHTS = {"color": 3.0, "count": 3.0, "object": 2.0, "location": 2.0, "subject": 1.5, "action": 1.5, "shown": 0.05}


class Offline:
    """The same pairs for the same seed and caption, wherever and in whichever order they are asked for."""

    threads = 1
    batch = 64

    def __init__(self, seed: int = 0) -> None:
        self.settings: Mapping[str, Scalar] = {
            "backend": "offline",
            "model": "grammar",
            "version": VERSION,
            "seed": seed,
        }
        self._seed = seed

    def ask(self, rows: Sequence[Row]) -> list[Said | Failed]:
        return [self._ask(row) for row in rows]

    def stop(self) -> None:
        """Nothing waits."""

    def _ask(self, row: Row) -> Said | Failed:
        """Question number n of a caption is the n-th of one shuffled list, so that no two are the same."""
        rng = seeds.generator("vqa", self._seed, row.image, row.caption, row.tries)
        found = pairs(row.caption, rng, row.avoid)
        if row.number >= len(found):
            return Failed("no_pair")
        kind, question, answer = found[row.number]
        return Said(f"Question: {question}\nAnswer: {answer}", kind=kind)


def pairs(caption: str, rng: np.random.Generator, avoid: str = "") -> list[tuple[str, str, str]]:
    """All (kind, question, answer) of a caption, one wording each, in a drawn order; none begins with `avoid`."""
    found = []
    for draft in drafts(caption):
        questions = [each for each in draft.questions if opening(each) != avoid]
        if questions:
            found.append((draft.kind, questions[int(rng.integers(len(questions)))], draft.answer))
    if not found:
        return []
    weights = np.array([_WEIGHTS[kind] for kind, _, _ in found])
    order = rng.choice(len(found), len(found), replace=False, p=weights / weights.sum())
    return [found[index] for index in order]
