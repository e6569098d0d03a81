"""What training reads: parts with their shares of the pairs, and how batches are made of them. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import Scalar

MAX_WORKERS = 256


@dataclass(frozen=True)
class Part:
    """One source and its share of the training pairs, against the other parts' weights.

    `source`: "module:attribute" (called with `options`, gives a source of groups), a folder of a built set, the
    .parquet index of a mix, or a folder made by `fuselip prepare`.
    """

    source: str
    weight: float = 1.0
    options: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig:
    """How pairs become batches.

    `max_group`: of a larger group so many pairs are drawn, anew every epoch; they stay in one batch (0: whole groups,
    up to the batch). `draws`: sources that draw anew every epoch repeat after so many epochs (0: never), so that the
    images they make can be cached; a departure from redrawing every epoch. `repeat`: start over when a source ends.
    `workers`: processes that make pixels ahead of the step (0: none); the batches are the same for any number.
    `tokens`, `pixels`: folders of the caches of image codes and of pixels ("": no cache).
    """

    parts: tuple[Part, ...]
    max_group: int = 0
    draws: int = 0
    repeat: bool = True
    workers: int = 0
    tokens: str = ""
    pixels: str = ""

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError("the data has no parts; name at least one source")
        for part in self.parts:
            if isinstance(part.weight, bool) or not 0 < part.weight < float("inf"):
                raise UsageError(f"data: the weight of {part.source!r} is {part.weight!r}; it is a number above 0")
        if self.max_group < 0 or self.draws < 0 or not 0 <= self.workers <= MAX_WORKERS:
            raise UsageError(f"data: max_group and draws are 0 or more, workers 0 to {MAX_WORKERS}")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "parts": [{**asdict(part), "options": dict(part.options)} for part in self.parts]}

    @classmethod
    def from_json(cls, value: Any, where: str = "data") -> DataConfig:
        """Raises UsageError that names what is not known there."""
        value = dict(_known(value, cls, where))
        parts = value.get("parts")
        if not isinstance(parts, list):
            raise UsageError(f"{where}: 'parts' is a list of sources")
        try:
            made = tuple(Part(**_known(part, Part, f"{where}, part {number}")) for number, part in enumerate(parts))
            return cls(**{**value, "parts": made})
        except TypeError as error:
            raise UsageError(f"{where}: {error}") from error


def _known(value: Any, kind: type, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} is a table, not {type(value).__name__}")
    names = [each.name for each in fields(kind)]
    for key in value:
        if key not in names:
            raise UsageError(f"{where}: unknown key {key!r}{did_you_mean(str(key), names)}; known: {', '.join(names)}")
    return value


def parse_part(spec: str) -> Part:
    """A part written as `[WEIGHT*]SOURCE[?KEY=VALUE&...]`: `0.5*datagen.training:scenes?kind=crop&seed=1`.

    Values that read as whole numbers are numbers. Raises UsageError for what is not of this form.
    """
    head, separator, rest = spec.partition("*")
    weight, text = (head, rest) if separator else ("1", spec)
    source, _, queries = text.partition("?")
    options: dict[str, Scalar] = {}
    for query in filter(None, queries.split("&")):
        key, equals, value = query.partition("=")
        if not key or not equals:
            raise UsageError(f"{spec!r}: options are written KEY=VALUE, not {query!r}")
        options[key] = int(value) if value.isdecimal() else value
    try:
        return Part(source, float(weight), options)
    except ValueError:
        raise UsageError(f"{spec!r}: {weight!r} is no weight; write a number and * before the source") from None
