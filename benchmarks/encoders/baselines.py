"""Encoders that know nothing: what they score is the floor, and a task on which they score more is broken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fuselip.core import seeds
from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.types import Input, content_hash


class Random:
    """A random direction for each distinct input: equal inputs get equal vectors, different ones unrelated vectors."""

    limits = Limits(images=4096, inputs=4096)

    def __init__(self, dim: int = 512, seed: int = 0) -> None:
        self.dim, self.seed = dim, seed
        self.info = _info("random", dim, seed)

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        """float32 [N, dim], drawn from the inputs' content hashes; no image is opened."""
        rows = [_direction(self.dim, "random encoder", self.seed, item.key) for item in inputs]
        return np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)


class Constant:
    """The same random direction for every input, as a collapsed model gives."""

    limits = Limits(images=4096, inputs=4096)

    def __init__(self, dim: int = 512, seed: int = 0) -> None:
        self.vector = _direction(dim, "constant encoder", seed)
        self.info = _info("constant", dim, seed)

    def encode(self, inputs: Sequence[Input]) -> np.ndarray:
        """float32 [N, dim], all rows equal."""
        return np.tile(self.vector, (len(inputs), 1))


def _direction(dim: int, *parts: str | int) -> np.ndarray:
    vector = seeds.generator(*parts).standard_normal(dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _info(name: str, dim: int, seed: int) -> EncoderInfo:
    return EncoderInfo(
        name=name,
        dim=dim,
        fusion="none",
        roles="ignored",
        params=0,
        licence="MIT",
        fingerprint=content_hash(["baseline", name, 1, dim, seed]),
        settings={"seed": seed},
    )
