"""Regions of an image: image and phrase lead to the crop of its box, image and question to the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from datagen.boxes import thin
from datagen.sources.types import Question, Region, SourceItem
from datagen.sources.visual_genome import GROUPINGS
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, ImageRef, Input, Operation, Pair, Scalar, content_hash

TASKS = ("crop", "answer")


class Regions:
    """Groups of pairs on one image. Parameters:

    task      "crop": (image + phrase) -> crop of the phrase's box; "answer": (image + question) -> answer
    grouping  "clean": groups of up to `size` in random order, whose members can be told apart: the filters below, no
              phrase twice, no answer twice. "paper": the item's entries as they are, unfiltered, as one group; needs a
              source that gives them so (`?grouping=paper`), whose entries can lie on two images
    size      pairs in a group; the last group of an image may be smaller
    min_side  clean crops: boxes are wider and higher than so many pixels (the VG-Crop evaluation's 32)
    max_iou   clean crops: of boxes that overlap more than this, only the first is taken (VG-Crop: 0.3)
    """

    name = "regions"
    version = 1

    def __init__(
        self,
        task: str = "crop",
        grouping: str = "clean",
        size: int = 4,
        min_side: int = 32,
        max_iou: float = 0.3,
    ) -> None:
        """Raises UsageError for names and values that are not known."""
        if task not in TASKS:
            raise UsageError(f"task={task!r}: it is one of {', '.join(TASKS)}")
        if grouping not in GROUPINGS:
            raise UsageError(f"grouping={grouping!r}: it is one of {', '.join(GROUPINGS)}")
        if size < 1 or min_side < 0 or not 0 <= max_iou <= 1:
            raise UsageError("size is 1 or more, min_side 0 or more, and max_iou from 0 to 1")
        self.task, self.grouping, self.size = task, grouping, size
        self.min_side, self.max_iou = min_side, max_iou
        self.params: Mapping[str, Scalar] = {
            "task": task,
            "grouping": grouping,
            "size": size,
            "min_side": min_side,
            "max_iou": max_iou,
        }

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]:
        """Skips: "no_regions", "no_questions", "all_filtered", "wrong_grouping" (source and recipe do not agree)."""
        entries: Sequence[Region | Question] = item.regions if self.task == "crop" else item.questions
        if not entries:
            yield Skip("no_regions" if self.task == "crop" else "no_questions")
            return
        straddling = [entry.image is not None for entry in entries]
        if any(straddling) != (self.grouping == "paper") or any(straddling) != all(straddling):
            yield Skip("wrong_grouping", f"use a source with ?grouping={self.grouping}, or set grouping otherwise")
            return
        if self.grouping == "paper":
            yield self._group(item, [self._pair(item, entry) for entry in entries], 0)
            return
        kept = _separate_boxes(item.regions, self.min_side, self.max_iou) if self.task == "crop" else item.questions
        if not kept:
            yield Skip("all_filtered", f"none of {len(entries)} regions is large enough and described once")
            return
        shuffled = [kept[index] for index in rng.permutation(len(kept))]
        for number, members in enumerate(_packed(shuffled, self.size)):
            yield self._group(item, [self._pair(item, entry) for entry in members], number)

    def _pair(self, item: SourceItem, entry: Region | Question) -> Pair:
        image = entry.image or item.image
        if isinstance(entry, Region):
            return Pair(Input(entry.phrase, image), Input(image=crop(image, entry.box)))
        return Pair(Input(entry.question, image), Input(entry.answer))

    def _group(self, item: SourceItem, pairs: list[Pair], number: int) -> Group:
        recipe = [self.name, self.version, item.key, [[pair.left.key, pair.right.key] for pair in pairs]]
        params: dict[str, Scalar] = {"task": self.task, "grouping": self.grouping, "part": number}
        return Group(content_hash(recipe), tuple(pairs), self.name, self.version, params, item.key)


def crop(image: ImageRef, box: tuple[int, int, int, int]) -> ImageRef:
    """The rectangle (left, top, right, bottom) of the image, in its own pixels."""
    left, top, right, bottom = box
    return image.then(Operation.of("box", 1, left=left, top=top, right=right, bottom=bottom))


def _separate_boxes(regions: Sequence[Region], min_side: int, max_iou: float) -> list[Region]:
    """Regions that can be told apart: large enough, a phrase of their own, thinned in the order of the source."""
    large = [r for r in regions if r.box[2] - r.box[0] > min_side and r.box[3] - r.box[1] > min_side]
    phrases = [_plain(region.phrase) for region in large]
    large = [region for region, phrase in zip(large, phrases, strict=True) if phrases.count(phrase) == 1]
    return [large[index] for index in thin([region.box for region in large], max_iou)]


def _packed(entries: Sequence[Region | Question], size: int) -> list[list[Region | Question]]:
    """Groups of up to `size`; an entry goes into the first one that has room and holds no other of the same answer."""
    groups: list[tuple[list[Region | Question], set[str]]] = []
    for entry in entries:
        answer = _plain(entry.phrase if isinstance(entry, Region) else entry.answer)
        for members, answers in groups:
            if len(members) < size and answer not in answers:
                break
        else:
            members, answers = [], set()
            groups.append((members, answers))
        members.append(entry)
        answers.add(answer)
    return [members for members, _ in groups]


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")
