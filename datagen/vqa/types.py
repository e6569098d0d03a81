"""What is asked, what came back, and who answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fuselip.core.types import Scalar, content_hash


@dataclass(frozen=True)
class Row:
    """One thing to ask: question number `number` about one caption of an image.

    `hash` identifies it together with all settings that decide the answer, so a changed setting asks anew. `tries`
    counts how often it was asked in earlier sessions, and `avoid` is an opening that its question should not have.
    """

    key: str
    image: str
    caption: str
    number: int
    hash: str
    tries: int = 0
    avoid: str = ""

    @classmethod
    def of(cls, key: str, image: str, caption: str, number: int, settings: Mapping[str, Scalar]) -> Row:
        return cls(key, image, caption, number, content_hash([caption, image, number, dict(settings)]))


@dataclass(frozen=True)
class Said:
    """A model's own words, unjudged; `cut` where it was stopped by the token limit."""

    text: str
    cut: bool = False
    kind: str = ""


@dataclass(frozen=True)
class Failed:
    """Why nothing was said. `reason` is a short fixed code ("timeout", "http_500")."""

    reason: str
    detail: str = ""


class Backend(Protocol):
    """Answers rows. `settings` decide what is said and are recorded: no keys, no addresses.

    `threads` may call `ask` at once, each with up to `batch` rows. UserError ends the run (a refused key); what
    concerns one row is a Failed.
    """

    settings: Mapping[str, Scalar]
    threads: int
    batch: int

    def ask(self, rows: Sequence[Row]) -> list[Said | Failed]: ...

    def stop(self) -> None:
        """End waits: the run is over, and results of what is still going on are not wanted."""
