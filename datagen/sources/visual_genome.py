"""Visual Genome: region descriptions and question answers, image by image or in the paper's groups of four.

Formats: region_descriptions.json [{id, regions: [{image_id, x, y, width, height, phrase}]}] and question_answers.json
[{id, qas: [{image_id, question, answer}]}]. Images are VG_100K/ID.jpg, VG_100K_2/ID.jpg or images/ID.jpg.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from datagen.boxes import clip
from datagen.sources.json_array import elements
from datagen.sources.quarantine import quarantine
from datagen.sources.types import Question, Region, Rejected, SourceItem
from datagen.sources.usable import usable
from fuselip.core import images
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef

FILES = {"regions": "region_descriptions.json", "questions": "question_answers.json"}
LISTS = {"regions": "regions", "questions": "qas"}
FOLDERS = ("images", "VG_100K", "VG_100K_2", "images/VG_100K", "images/VG_100K_2")
GROUPINGS = ("clean", "paper")
PAPER_GROUP = 4
CREDIT = "Visual Genome, CC BY 4.0"
# The paper's groups come back to an image some ten times in a row, and sometimes straddle two.
_KEPT_IMAGES = 8


@dataclass(frozen=True)
class _Picture:
    ref: ImageRef
    size: tuple[int, int]


@dataclass(frozen=True)
class _Entry:
    """A region or question as it stands in the file."""

    image_id: int
    value: dict[str, Any]


class VisualGenome:
    """`entries` "regions" or "questions" of the data set in `root`.

    `grouping` "clean": an item is an image with all its entries. "paper": an item is four consecutive entries of the
    flat list over all images, as the paper trains on; they can lie on two images, so each entry names its own,
    and the item's own image is that of the first. The groups follow from the annotations alone: where an image of a
    group is missing, the group is rejected and no other one shifts. Boxes are clipped to the image.
    """

    def __init__(self, root: Path, entries: str = "regions", grouping: str = "clean") -> None:
        """Raises UsageError for an unknown name, UserError where the annotations or all image folders are missing."""
        if entries not in FILES:
            raise UsageError(f"Visual Genome has no entries {entries!r}; known: {', '.join(FILES)}")
        if grouping not in GROUPINGS:
            raise UsageError(f"grouping={grouping!r}: it is one of {', '.join(GROUPINGS)}")
        self.root, self.entries, self.grouping = root, entries, grouping
        self.name = f"vg-{entries}:{root.resolve().name}" + ("?grouping=paper" if grouping == "paper" else "")
        self.file = root / FILES[entries]
        if not self.file.is_file():
            raise UserError(f"{self.file} does not exist; put {FILES[entries]} of Visual Genome there")
        self._folders = [root / name for name in FOLDERS if (root / name).is_dir()]
        if not self._folders:
            raise UserError(f"{root} has no folder of images; unpack them as one of {', '.join(FOLDERS)}")

    def items(self) -> Iterator[SourceItem | Rejected]:
        if self.grouping == "clean":
            return quarantine(self.name, self._by_image())
        return usable(self.name, self._by_four())

    def _by_image(self) -> Iterator[SourceItem | Rejected]:
        for image_id, entries in self._read():
            if isinstance(entries, Rejected):
                yield entries
                continue
            try:
                picture = self._picture(image_id)
            except UserError as error:
                yield Rejected(str(image_id), str(error))
                continue
            found: list[Region | Question] = []
            for number, entry in enumerate(entries):
                try:
                    found.append(replace(_convert(entry, picture), image=None))
                except UserError as error:
                    yield Rejected(f"{image_id}, entry {number}", str(error))
            yield _item(str(image_id), picture.ref, found)

    def _by_four(self) -> Iterator[SourceItem | Rejected]:
        known: OrderedDict[int, _Picture] = OrderedDict()

        def picture_of(image_id: int) -> _Picture:
            if image_id not in known:
                known[image_id] = self._picture(image_id)
                if len(known) > _KEPT_IMAGES:
                    known.popitem(last=False)
            return known[image_id]

        rejected: list[Rejected] = []
        flat = self._flat(rejected)
        for number in range(10**9):
            four = list(islice(flat, PAPER_GROUP))
            yield from rejected
            rejected.clear()
            if not four:
                return
            key = f"{self.entries}-{number:08d}"
            try:
                yield _item(key, picture_of(four[0].image_id).ref, [_convert(e, picture_of(e.image_id)) for e in four])
            except UserError as error:
                yield Rejected(key, str(error))

    def _flat(self, rejected: list[Rejected]) -> Iterator[_Entry]:
        for _, entries in self._read():
            if isinstance(entries, Rejected):
                rejected.append(entries)
            else:
                yield from entries

    def _read(self) -> Iterator[tuple[int, list[_Entry] | Rejected]]:
        """(image id, its entries) in the order of the file."""
        wanted = LISTS[self.entries]
        for number, record in enumerate(elements(self.file)):
            try:
                listed = [_Entry(int(each.get("image_id", record.get("id"))), each) for each in record[wanted]]
                yield int(record.get("id", listed[0].image_id if listed else -1)), listed
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                why = f"not valid: an image's record without {error!r}, as Visual Genome has it"
                yield -1, Rejected(f"{self.file.name}, record {number}", why)

    def _picture(self, image_id: int) -> _Picture:
        for folder in self._folders:
            path = folder / f"{image_id}.jpg"
            if path.is_file():
                ref = images.ref_from_file(path)
                return _Picture(ref, images.measure(ref))
        raise UserError(f"{image_id}.jpg does not exist in {', '.join(folder.name for folder in self._folders)}")


def _item(key: str, image: ImageRef, found: Sequence[Region | Question]) -> SourceItem:
    regions = tuple(each for each in found if isinstance(each, Region))
    questions = tuple(each for each in found if isinstance(each, Question))
    return SourceItem(key, image, origin=key, credit=CREDIT, regions=regions, questions=questions)


def _convert(entry: _Entry, picture: _Picture) -> Region | Question:
    """Raises UserError where the entry is none. An answer loses its trailing dot, as in the paper's training."""
    value = entry.value
    try:
        if "phrase" not in value:
            answer = str(value["answer"]).strip().removesuffix(".").rstrip()
            asked = Question(str(value["question"]).strip(), answer, image=picture.ref)
            if asked.question and asked.answer:
                return asked
            raise UserError(f"image {entry.image_id}: a question or its answer is empty")
        left, top = float(value["x"]), float(value["y"])
        box = clip((left, top, left + float(value["width"]), top + float(value["height"])), *picture.size)
        phrase = str(value["phrase"]).strip()
    except (KeyError, TypeError, OverflowError) as error:
        raise UserError(f"image {entry.image_id}: an entry without {error}; get the annotations again") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"image {entry.image_id}: an entry is not valid ({error}); get it again") from error
    if box is None or not phrase:
        what = "a phrase is empty" if box else "a box is empty or lies outside the image"
        raise UserError(f"image {entry.image_id}: {what}")
    return Region(phrase, box, image=picture.ref)
