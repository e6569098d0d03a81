"""Crops that annotations name: from a box in numbers to whole pixels of a picture whose size is known."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.tasks.folder import DataFolder
from datagen.boxes import PixelBox, clip
from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Operation

FARTHEST = 1 << 20


def pixels(corners: Sequence[float], where: str) -> PixelBox:
    """Left, top, right, bottom as whole pixels: rounded, halves to even, as PIL's `crop` in the publishers' code does.

    Raises UserError, naming the entry `where`, for what is no number and for a box without a pixel.
    """
    if not all(isinstance(corner, int | float) and -FARTHEST < corner < FARTHEST for corner in corners):
        raise UserError(f"{where}: the box {tuple(corners)} is not made of numbers of pixels; get the file again")
    left, top, right, bottom = (round(corner) for corner in corners)
    if left >= right or top >= bottom:
        raise UserError(f"{where}: the box {tuple(corners)} holds no pixel; get the file again")
    return left, top, right, bottom


class Cropper:
    """Cuts boxes out of pictures, each measured once. Where only annotations are read, no size is known or checked."""

    def __init__(self, folder: DataFolder) -> None:
        self._blind = folder.blind
        self._sizes: dict[str, tuple[int, int]] = {}
        self.clipped = 0

    def size(self, image: ImageRef) -> tuple[int, int] | None:
        """(width, height) of the picture's file; None where only annotations are read."""
        if self._blind:
            return None
        if image.source not in self._sizes:
            self._sizes[image.source] = images.measure(image)
        return self._sizes[image.source]

    def inside(self, image: ImageRef, box: PixelBox, where: str) -> ImageRef:
        """The box, which must lie inside the picture: UserError where the picture is of another size than it needs."""
        if (size := self.size(image)) and clip(box, *size) != box:
            raise UserError(
                f"{where}: the box {box} reaches outside its picture of {size[0]}x{size[1]} pixels; "
                "the picture is not of the size that the boxes were made for: get the publisher's own files"
            )
        return _cut(image, box)

    def cut(self, image: ImageRef, box: PixelBox, where: str) -> ImageRef:
        """The part of the box that lies inside the picture (`clipped` counts boxes that do not lie wholly inside)."""
        if size := self.size(image):
            part = clip(box, *size)
            if part is None:
                raise UserError(
                    f"{where}: the box {box} lies outside its picture of {size[0]}x{size[1]} pixels; "
                    "the picture is another one than the box was made for: get the publisher's own files"
                )
            self.clipped += part != box
            box = part
        return _cut(image, box)

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.clipped:
            return ()
        return (f"boxes that reach past their picture are cut at its edge ({self.clipped}), not padded with black",)


def _cut(image: ImageRef, box: PixelBox) -> ImageRef:
    left, top, right, bottom = box
    return image.then(Operation.of("box", left=left, top=top, right=right, bottom=bottom))
