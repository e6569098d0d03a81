"""Finite scalar quantisation (arXiv 2309.15505): each channel rounded to a few levels; the codebook is their grid.

Shapes: E channels, N codes (the product of the levels).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

MARGIN = 1e-3  # keeps the outermost levels reachable


class FSQ(nn.Module):
    """No weights: ids follow from the levels alone, the first channel being the lowest digit."""

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        assert min(levels) >= 3, "with two levels the shift by half has no place"
        self.levels = tuple(levels)
        self.num_codes = math.prod(self.levels)

    def forward(self, z: Tensor) -> Tensor:
        """z [..., E] as code vectors in -1..1; gradients pass the rounding unchanged."""
        bounded = self._bounded(z)
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / self._row(z, [count // 2 for count in self.levels])

    def ids(self, z: Tensor) -> Tensor:
        """Codes int64 [...] of z [..., E], always in fp32."""
        with torch.autocast(z.device.type, enabled=False):
            digits = self._bounded(z.float()).round() + self._row(z, [count // 2 for count in self.levels])
        return (digits.long() * self._row(z, self._bases()).long()).sum(-1)

    def vectors(self, ids: Tensor) -> Tensor:
        """The code vectors float32 [..., E] of ids [...], in -1..1."""
        like = torch.empty(0, device=ids.device)
        bases, counts = self._row(like, self._bases()).long(), self._row(like, self.levels).long()
        half = counts // 2
        return (ids[..., None] // bases % counts - half) / half

    def _bounded(self, z: Tensor) -> Tensor:
        """z squeezed so that rounding gives exactly `levels` values a channel; an even number needs a shift by half."""
        half = self._row(z, [(count - 1) * (1 - MARGIN) / 2 for count in self.levels])
        offset = self._row(z, [0.5 * (count % 2 == 0) for count in self.levels])
        return torch.tanh(z + torch.atanh(offset / half)) * half - offset

    def _bases(self) -> list[int]:
        return [math.prod(self.levels[:index]) for index in range(len(self.levels))]

    def _row(self, like: Tensor, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device)
