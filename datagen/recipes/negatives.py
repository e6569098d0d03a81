"""Hard negatives: image and caption together with images and captions that are nearly right, in one group.

Every right side of a group must be wrong for every other left side. So each text negative is given a left side of its
own for which it is right: the image and the change in words ("cat instead of dog"), as in composed retrieval; and two
captions of one image never stand in one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datagen.negatives.index import Index
from datagen.negatives.mining import overlap
from datagen.negatives.types import Exchange
from datagen.recipes.transforms_distinct import distinct
from datagen.sources.types import Edit, SourceItem
from datagen.transforms import flip
from datagen.transforms.base import BASE
from datagen.transforms.space import SPACES, choose
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, Input, Pair, Scalar, content_hash

MODES = ("text", "neighbours", "transforms", "edits")
INDEXED = ("text", "neighbours")
# Words in common from which an altered caption could be true of the other image of its exchange.
MAX_OVERLAP = 0.8
# Colorize starts at another image than the base.
FAMILIES = tuple(name for name in SPACES if name != "colorize")


class Negatives:
    """Groups of (image, caption) pairs that are each other's hard negatives. Parameters:

    mode          "text": captions changed in one thing, balanced against blind rules, from an index of text negatives;
                  "neighbours": mined images with their captions, from an index of neighbours; "transforms": caption and
                  edit in words -> the edited image, against other edits of the same image; "edits": the image before
                  and after an edit of the source, each with its caption
    index         the index's file ("text", "neighbours"; made by datagen.negatives.build)
    sha256        of the index's content; "": as it is. A build records it, so another index cannot slip in
    composed      "text": with the pairs of image and change, in which the altered captions are right
    min_distance  "transforms": edits nearer than this (mean absolute, of 255 gray levels) are left out
    """

    name = "negatives"
    version = 1

    def __init__(
        self,
        mode: str = "edits",
        index: str = "",
        sha256: str = "",
        composed: bool = True,
        min_distance: float = 2.0,
    ) -> None:
        """Raises UsageError for unknown names and an index that is missing, of another mode or of another content."""
        if mode not in MODES:
            raise UsageError(f"mode={mode!r}: it is one of {', '.join(MODES)}")
        if bool(index) != (mode in INDEXED):
            raise UsageError(f"mode={mode} {'needs' if mode in INDEXED else 'takes no'} index=FILE")
        self._index = Index(Path(index)) if index else None
        if self._index is not None:
            if self._index.settings.get("mode") != mode:
                raise UsageError(f"{index} was made for mode={self._index.settings.get('mode')}, not {mode}")
            if sha256 not in ("", self._index.sha256):
                raise UsageError(f"{index} is another index than the one recorded; get that one, or make a new set")
            sha256 = self._index.sha256
        self.mode, self.composed, self.min_distance = mode, composed, min_distance
        self.params: Mapping[str, Scalar] = {
            "mode": mode,
            "index": index,
            "sha256": sha256,
            "composed": composed,
            "min_distance": min_distance,
        }

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]:
        """Skips: "no_caption", "no_negatives" (not in the index), "stale_index" (the caption has changed since),
        "no_edits", "same_caption", "indistinct" (edits that cannot be told apart)."""
        if not item.captions:
            yield Skip("no_caption")
        elif self.mode == "text":
            yield from self._text(item)
        elif self.mode == "neighbours":
            yield self._neighbours(item)
        elif self.mode == "transforms":
            yield self._transforms(item, rng)
        else:
            yield from self._edits(item)

    def _text(self, item: SourceItem) -> Iterator[Group | Skip]:
        rows = self._rows(item)
        if not rows:
            yield Skip("no_negatives")
        for row, other in rows:
            exchange = Exchange.from_json(row)
            first, second = exchange.sides
            if first.caption not in item.captions:
                yield Skip("stale_index", f"{item.key} has another caption than when the index was made")
                continue
            pairs = [_pair(item, first.positive), _pair(other, second.positive)]
            form = "plain"
            if self.composed and first.change and not _mixed_up(exchange):
                form = "composed"
                pairs.append(Pair(Input(first.change, item.image), Input(first.negative)))
                pairs.append(Pair(Input(second.change, other.image), Input(second.negative)))
            yield self._group(item, pairs, {"kind": exchange.kind, "form": form, "peer": other.key})

    def _neighbours(self, item: SourceItem) -> Group | Skip:
        rows = self._rows(item)
        if not rows:
            return Skip("no_negatives")
        pairs = [_pair(item, item.captions[0])] + [_pair(other, other.captions[0]) for _, other in rows]
        similarity = ",".join(f"{row['similarity']:.4f}" for row, _ in rows)
        return self._group(item, pairs, {"similarity": similarity, "peers": ",".join(other.key for _, other in rows)})

    def _transforms(self, item: SourceItem, rng: np.random.Generator) -> Group | Skip:
        caption = item.captions[int(rng.integers(len(item.captions)))].rstrip(" .")
        family = FAMILIES[int(rng.integers(len(FAMILIES)))]
        if family == "flip":
            edits = tuple(edit for edit in flip.EDITS if not edit.left)
        else:
            edits = choose(SPACES[family], SPACES[family].count, "none", rng)[0]
        base = item.image.then(BASE)
        shown = [Pair(Input(edit.text, base), Input(image=base.then(*edit.right))) for edit in edits]
        kept = distinct(shown, self.min_distance).kept
        if len(kept) < 2:
            return Skip("indistinct", f"{item.key}: fewer than two {family} edits can be told apart")
        pairs = [Pair(Input(f"{caption}, with this edit: {edits[i].text}"), shown[i].right) for i in kept]
        return self._group(item, pairs, {"family": family, "edits": ",".join(edits[i].key for i in kept)})

    def _edits(self, item: SourceItem) -> Iterator[Group | Skip]:
        if not item.edits:
            yield Skip("no_edits")
        for number, edit in enumerate(item.edits):
            yield self._edit(item, edit, number)

    def _edit(self, item: SourceItem, edit: Edit, number: int) -> Group | Skip:
        """The first captions: they are of one form, so that they differ in what the edit changed."""
        before, after = item.captions[0], (edit.captions or ("",))[0]
        if not after.strip():
            return Skip("no_caption", f"{item.key}, edit {number}: no caption of the edited image")
        if before.split() == after.split() or edit.image == item.image:
            return Skip("same_caption", f"{item.key}, edit {number}: nothing changes in image or caption")
        pairs = [_pair(item, before), Pair(Input(image=edit.image), Input(after))]
        return self._group(item, pairs, {"edit": number, "kind": edit.kind})

    def _rows(self, item: SourceItem) -> list[tuple[dict[str, Any], SourceItem]]:
        assert self._index is not None, "modes with an index have one"
        return [(row, self._index.item(row["peer"])) for row in self._index.rows(item.key)]

    def _group(self, item: SourceItem, pairs: list[Pair], params: Mapping[str, Scalar]) -> Group:
        recipe = [self.name, self.version, item.key, [[pair.left.key, pair.right.key] for pair in pairs]]
        made = {"mode": self.mode, **params}
        return Group(content_hash(recipe), tuple(pairs), self.name, self.version, made, item.key)


def _pair(item: SourceItem, caption: str) -> Pair:
    return Pair(Input(image=item.image), Input(caption))


def _mixed_up(exchange: Exchange) -> bool:
    """Whether an altered caption is (nearly) the other image's own, for which it would be no negative."""
    first, second = exchange.sides
    return max(overlap(first.negative, second.positive), overlap(second.negative, first.positive)) > MAX_OVERLAP
