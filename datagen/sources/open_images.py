"""Open Images box annotations: every image with its labelled boxes.

Formats: class-descriptions-boxable.csv (LabelName,DisplayName, with or without a header row) and a box CSV (columns
ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside; corners
are fractions of the image's sides). Images are ID.jpg in images/ or in the folder itself.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from datagen.boxes import clip
from datagen.sources.inside import inside
from datagen.sources.quarantine import quarantine
from datagen.sources.types import Region, Rejected, SourceItem
from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef

BOXES, CLASSES = "*annotations-bbox.csv", "*class-descriptions-boxable.csv"
COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
CREDIT = "Open Images, image CC BY 2.0, annotations CC BY 4.0"


@dataclass(frozen=True)
class Labelled:
    """One box: the class's name, corners as fractions of the image's sides, and the annotators' flags that are set."""

    label: str
    left: float
    top: float
    right: float
    bottom: float
    flags: frozenset[str] = frozenset()

    def pixels(self, width: int, height: int) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in pixels of an image of that size, not rounded."""
        return self.left * width, self.top * height, self.right * width, self.bottom * height


class OpenImages:
    """Images in the order of the box CSV, whose rows stand together by image. Boxes of groups of things are left out.

    Each box is a Region with its class's name as phrase and label.
    """

    def __init__(self, root: Path, boxes: str = BOXES, classes: str = CLASSES) -> None:
        """`boxes` and `classes` are names or patterns in `root`. Raises UserError unless one file matches each."""
        self.root = root
        self.name = f"open-images:{root.resolve().name}"
        self.boxes = _single(root, boxes, "the box annotations")
        self.classes = read_classes(_single(root, classes, "the names of the classes"))

    def items(self) -> Iterator[SourceItem | Rejected]:
        return quarantine(self.name, self._items())

    def annotations(self) -> Iterator[tuple[str, list[Labelled]] | Rejected]:
        """(image id, all its boxes); no image is touched. A row that is not as it should be is Rejected."""
        rejected: list[Rejected] = []
        for image_id, rows in groupby(self._rows(rejected), key=itemgetter(0)):
            found = [labelled for _, labelled in rows]
            yield from rejected
            rejected.clear()
            yield image_id, found
        yield from rejected

    def image(self, image_id: str) -> ImageRef:
        """Raises UserError where it is not there."""
        for folder in (self.root / "images", self.root):
            path = inside(folder, f"{image_id}.jpg")
            if path.is_file():
                return images.ref_from_file(path)
        raise UserError(f"{image_id}.jpg does not exist in {self.root.name}/images or {self.root.name}")

    def _items(self) -> Iterator[SourceItem | Rejected]:
        for each in self.annotations():
            if isinstance(each, Rejected):
                yield each
                continue
            image_id, found = each
            try:
                ref = self.image(image_id)
                size = images.measure(ref)
            except UserError as error:
                yield Rejected(image_id, str(error))
                continue
            boxes = [(box, clip(box.pixels(*size), *size)) for box in found if "IsGroupOf" not in box.flags]
            regions = tuple(Region(box.label, pixels, box.label) for box, pixels in boxes if pixels)
            yield SourceItem(image_id, ref, credit=CREDIT, regions=regions)

    def _rows(self, rejected: list[Rejected]) -> Iterator[tuple[str, Labelled]]:
        try:
            with open(self.boxes, encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream)
                lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
                if lacking:
                    raise UserError(f"{self.boxes} has no column {', '.join(lacking)}; it is no box CSV of Open Images")
                for row in reader:
                    try:
                        yield row["ImageID"], self._labelled(row)
                    except (UserError, TypeError, ValueError) as error:
                        where = f"{self.boxes.name}, line {reader.line_num}"
                        rejected.append(Rejected(where, f"not valid CSV of boxes ({error})"))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self.boxes} cannot be read ({error}); get it again") from error

    def _labelled(self, row: Mapping[str, str]) -> Labelled:
        label = self.classes.get(row["LabelName"])
        if label is None:
            raise UserError(f"the class {row['LabelName']} has no name in the class descriptions")
        left, top, right, bottom = (float(row[name]) for name in ("XMin", "YMin", "XMax", "YMax"))
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise UserError("corners are fractions, XMin < XMax and YMin < YMax")
        return Labelled(label, left, top, right, bottom, frozenset(flag for flag in FLAGS if row.get(flag) == "1"))


def read_classes(path: Path) -> dict[str, str]:
    """{class id: its name} of a class-descriptions CSV. Raises UserError where it is none."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); get it again") from error
    if not rows or any(len(row) != 2 for row in rows):
        raise UserError(f"{path} has rows that are not class id and name; it is no class description of Open Images")
    return {key: name for key, name in rows if (key, name) != ("LabelName", "DisplayName")}


def _single(root: Path, pattern: str, what: str) -> Path:
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "nothing"
        raise UserError(f"{root} is to hold one file {pattern} with {what}, and {names} is there")
    return found[0]
