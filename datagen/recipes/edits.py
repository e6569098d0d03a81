"""Edits that a source knows (HQ-Edit, scenes): image and instruction lead to the edited image, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from datagen.sources.types import Edit, SourceItem
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, Input, Pair, Scalar, content_hash


class Edits:
    """For each edit of an item, as the paper has it for HQ-Edit:

    inverse    forward (image + instruction -> edited) and inverse (edited + inverse instruction -> image) as one group
               of two, so that each one's answer is the other's question; forward alone where there is no way back
    captioned  (image + instruction -> edited + its caption) alone in a group
    """

    name = "edits"
    version = 1

    def __init__(self, inverse: bool = True, captioned: bool = True) -> None:
        if not (inverse or captioned):
            raise UsageError("inverse or captioned is to be true: otherwise nothing would be made")
        self.inverse, self.captioned = inverse, captioned
        self.params: Mapping[str, Scalar] = {"inverse": inverse, "captioned": captioned}

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]:
        """Skips: "no_edits"; of a single edit "no_instruction", "unchanged" (its images are one), "no_caption"."""
        if not item.edits:
            yield Skip("no_edits")
        for index, edit in enumerate(item.edits):
            reason = "" if edit.instruction.strip() else "no_instruction"
            reason = reason or ("unchanged" if edit.image == item.image else "")
            if reason:
                yield Skip(reason, f"{item.key}, edit {index}")
                continue
            if self.inverse:
                yield self._there_and_back(item, edit, index)
            if self.captioned:
                yield self._captioned(item, edit, index, rng)

    def _there_and_back(self, item: SourceItem, edit: Edit, index: int) -> Group:
        pairs = [Pair(Input(edit.instruction, item.image), Input(image=edit.image))]
        if edit.inverse.strip():
            pairs.append(Pair(Input(edit.inverse, edit.image), Input(image=item.image)))
        return self._group(item, edit, index, pairs, "inverse" if len(pairs) == 2 else "forward")

    def _captioned(self, item: SourceItem, edit: Edit, index: int, rng: np.random.Generator) -> Group | Skip:
        captions = [caption for caption in edit.captions if caption.strip()]
        if not captions:
            return Skip("no_caption", f"{item.key}, edit {index}: no caption of the edited image")
        caption = captions[int(rng.integers(len(captions)))]
        pair = Pair(Input(edit.instruction, item.image), Input(caption, edit.image))
        return self._group(item, edit, index, [pair], "captioned")

    def _group(self, item: SourceItem, edit: Edit, index: int, pairs: list[Pair], form: str) -> Group:
        recipe = [self.name, self.version, item.key, [[pair.left.key, pair.right.key] for pair in pairs]]
        params: dict[str, Scalar] = {"form": form, "edit": index, "kind": edit.kind}
        return Group(content_hash(recipe), tuple(pairs), self.name, self.version, params, item.key)
