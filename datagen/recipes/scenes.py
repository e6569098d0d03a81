"""Scenes with all that is known of them: a caption, questions, regions and edits of each, in groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from datagen.recipes.edits import Edits
from datagen.sources.types import SourceItem
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, Input, Operation, Pair, Scalar, content_hash


class Scenes:
    """Groups of one size each, so that a set stays together. Parameters (0 leaves a kind out):

    questions  so many questions of a scene, (image + question -> answer), in one group
    regions    so many of its regions, (image + phrase -> the crop), in one group
    edits      so many of its edits, each with its way back as a group of two
    A caption of its own, (image -> caption), comes with every scene. Scenes that have fewer give fewer groups.
    """

    name = "scenes"
    version = 1

    def __init__(self, questions: int = 4, regions: int = 2, edits: int = 2) -> None:
        for word, value in (("questions", questions), ("regions", regions), ("edits", edits)):
            if not 0 <= value <= 10:
                raise UsageError(f"{word} must be 0 to 10, not {value}")
        self.questions, self.regions, self.edits = questions, regions, edits
        self._edits = Edits(captioned=False)
        self.params: Mapping[str, Scalar] = {"questions": questions, "regions": regions, "edits": edits}

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]:
        """Skips: "no_caption", "few_questions", "few_regions", "few_edits"."""
        if item.captions:
            caption = item.captions[int(rng.integers(len(item.captions)))]
            yield self._group(item, "caption", [Pair(Input(image=item.image), Input(caption))])
        else:
            yield Skip("no_caption", item.key)
        yield from self._some(item, "questions", [(each.question, Input(each.answer)) for each in item.questions], rng)
        yield from self._some(item, "regions", [(each.phrase, _crop(item, each.box)) for each in item.regions], rng)
        if len(item.edits) < self.edits:
            yield Skip("few_edits", item.key)
        order = rng.permutation(len(item.edits))[: self.edits]
        chosen = tuple(item.edits[int(index)] for index in sorted(order))
        if chosen:
            only = SourceItem(item.key, item.image, origin=item.origin, edits=chosen)
            for made in self._edits.generate(only, rng):
                yield made if isinstance(made, Skip) else self._group(item, "edit", made.pairs)

    def _some(
        self, item: SourceItem, kind: str, found: list[tuple[str, Input]], rng: np.random.Generator
    ) -> Iterator[Group | Skip]:
        count = self.questions if kind == "questions" else self.regions
        if count == 0:
            return
        if len(found) < count:
            yield Skip(f"few_{kind}", f"{item.key}: {len(found)}")
            return
        chosen = [found[int(index)] for index in sorted(rng.permutation(len(found))[:count])]
        yield self._group(item, kind, [Pair(Input(text, item.image), right) for text, right in chosen])

    def _group(self, item: SourceItem, kind: str, pairs: Sequence[Pair]) -> Group:
        recipe = [self.name, self.version, item.key, kind, [[pair.left.key, pair.right.key] for pair in pairs]]
        return Group(content_hash(recipe), tuple(pairs), self.name, self.version, {"kind": kind}, item.key)


def _crop(item: SourceItem, box: tuple[int, int, int, int]) -> Input:
    left, top, right, bottom = box
    return Input(image=item.image.then(Operation.of("box", left=left, top=top, right=right, bottom=bottom)))
