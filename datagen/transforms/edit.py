"""An Edit: an instruction and the two images it stands between, each given as operations on the base image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fuselip.core.types import Operation, Scalar

Steps = tuple[Operation, ...]


@dataclass(frozen=True)
class Edit:
    """`text` turns the image made by `left` into the one made by `right`; () is the base image itself.

    `key` is unique within its family, `target` names the right image. `tags` feed the skill curves.
    """

    key: str
    text: str
    right: Steps
    target: str
    left: Steps = ()
    tags: Mapping[str, Scalar] = field(default_factory=dict)
