"""What an encoder is: one method, `encode`. Lives here so that no encoder has to import the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from fuselip.core.types import Input, Scalar

Role = Literal["query", "candidate"]


@runtime_checkable
class Encoder(Protocol):
    """Embeds Inputs. `encode` alone is enough; its keyword arguments are passed only if it accepts them.

    Optional attributes: `info` (EncoderInfo), `limits` (Limits), and `prepare(inputs)`, which does what needs no
    accelerator (decoding, resizing, tokenizing), is called in another thread while the previous batch is encoded,
    and returns an object that `encode` takes in place of the list.
    """

    def encode(self, inputs: Sequence[Input], *, role: Role = "query", instruction: str = "") -> np.ndarray:
        """float32 [N, D], one row per input, in order. Rows need not be normalised, but must be finite."""
        ...


@dataclass(frozen=True)
class Weights:
    """Which numbers the encoder runs on, as recorded in every result.

    `source`: "random" (seeded initialisation), "local", "hub", "bundled", or the encoder's own word.
    """

    source: str
    location: str = ""
    revision: str | None = None
    sha256: str | None = None
    note: str = ""

    @property
    def is_random(self) -> bool:
        return self.source == "random"


@dataclass(frozen=True)
class EncoderInfo:
    """What is recorded of an encoder. `fingerprint` covers everything its outputs depend on; None = unknown."""

    name: str
    revision: str | None = None
    dim: int | None = None
    fusion: str = "unknown"
    instructions: Literal["native", "prepended", "ignored"] = "ignored"
    roles: Literal["used", "ignored"] = "used"
    precision: str = "fp32"
    params: int | None = None
    licence: str | None = None
    fingerprint: str | None = None
    weights: Weights | None = None
    settings: Mapping[str, Scalar | None] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name as every table shows it: untrained weights are never left unsaid."""
        return f"{self.name} [random init]" if self.weights is not None and self.weights.is_random else self.name


@dataclass(frozen=True)
class Limits:
    """How much one call takes at most: distinct images and Inputs per batch; `texts`: in a batch of texts alone."""

    images: int = 16
    inputs: int = 64
    texts: int | None = None


def info_of(encoder: Any) -> EncoderInfo:
    """The encoder's own info, or the least that can be said: its class name, fingerprint unknown."""
    info = getattr(encoder, "info", None)
    return info if isinstance(info, EncoderInfo) else EncoderInfo(name=type(encoder).__name__)


def limits_of(encoder: Any) -> Limits:
    limits = getattr(encoder, "limits", None)
    return limits if isinstance(limits, Limits) else Limits()
