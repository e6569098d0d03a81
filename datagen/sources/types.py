"""What a source gives: items one by one, and what it could not use, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from fuselip.core.types import ImageRef


@dataclass(frozen=True)
class Region:
    """A phrase for a rectangle of the image; `box` is (left, top, right, bottom) in pixels of the image as it loads.

    `image` is given where an item's entries lie on several images; None: the item's own.
    """

    phrase: str
    box: tuple[int, int, int, int]
    label: str = ""
    image: ImageRef | None = None


@dataclass(frozen=True)
class Question:
    """A question about the image with its answer; `kind` is the source's own class of question ("count", "what").

    `image` as a Region has it.
    """

    question: str
    answer: str
    kind: str = ""
    image: ImageRef | None = None


@dataclass(frozen=True)
class Edit:
    """An instruction, the image it leads to, and how to come back ("" where the source does not say)."""

    instruction: str
    image: ImageRef
    inverse: str = ""
    captions: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class SourceItem:
    """An image with what its source knows of it. `key` is unique in its source and holds no machine path.

    `origin` names the photograph the image was cut from (its own key where it is whole): items that share it are not
    independent, so intervals resample origins. `credit` is the licence and attribution as far as they are known.
    """

    key: str
    image: ImageRef
    captions: tuple[str, ...] = ()
    origin: str = ""
    credit: str = ""
    regions: tuple[Region, ...] = ()
    questions: tuple[Question, ...] = ()
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """An item left out, and why. Sources yield these in place, so that nothing vanishes uncounted."""

    item: str
    reason: str


class Source(Protocol):
    """`items` starts over at each call, gives the same items in the same order, and holds none of them in memory.

    A single bad image, row or duplicate is yielded as Rejected. UserError where nothing at all is usable.
    """

    @property
    def name(self) -> str: ...

    def items(self) -> Iterator[SourceItem | Rejected]: ...
