"""What the balancing works on and gives: captions, and exchanges between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

KINDS = ("replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att", "add_obj", "add_att", "negate")


@dataclass(frozen=True)
class Caption:
    """A caption and the key of its image."""

    key: str
    text: str


@dataclass(frozen=True)
class Side:
    """One side of an exchange: a text true of the image `key`, one that is not, and what makes the one the other.

    `positive` is the caption itself, or ("add_obj", "negate") a statement that follows from it; `change` is then "".
    """

    key: str
    caption: str
    positive: str
    negative: str
    change: str = ""


@dataclass(frozen=True)
class Exchange:
    """Two captions that make each other's negatives: what is true of the one is false of the other, and back.

    Whatever a blind rule counts, it counts as often for a positive as for a negative.
    """

    kind: str
    first: Side
    second: Side

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.first, self.second

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "first": vars(self.first), "second": vars(self.second)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Exchange:
        return cls(value["kind"], Side(**value["first"]), Side(**value["second"]))
