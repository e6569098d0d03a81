"""What a source gives: items one by one, and what it could not use, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from fuselip.core.types import ImageRef


@dataclass(frozen=True)
class SourceItem:
    """An image with its captions. `key` is unique in its source and holds no machine path.

    `origin` names the photograph the image was cut from (its own key where it is whole): items that share it are not
    independent, so intervals resample origins. `credit` is the licence and attribution as far as they are known.
    """

    key: str
    image: ImageRef
    captions: tuple[str, ...] = ()
    origin: str = ""
    credit: str = ""


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
