"""One side of a batch through a model, with gradients, in chunks: what early and late fusion share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PASS_TOKENS = {"cpu": 256, "cuda": 8192, "mps": 1024}  # what a pass of its own costs, in tokens
IMAGES_PER_PASS = {"cpu": 8, "cuda": 256, "mps": 16}


@dataclass(frozen=True)
class Output:
    """Unit features [n, D] of a chunk; the weighted loss of its hidden tokens, and counts for their accuracy [4]."""

    features: Tensor
    mask_loss: Tensor | None = None
    mask_counts: Tensor | None = None


class Prepared(ABC):
    """One side of a batch, ready to be embedded chunk by chunk."""

    num_masked: int = 0

    @abstractmethod
    def chunks(self, limit: int) -> list[Tensor]:
        """Row numbers (int64) in chunks of at most `limit` pairs (0: no limit), each row in one of them."""

    @abstractmethod
    def embed(self, rows: Tensor, mask_weight: float | None) -> Output:
        """Features of these rows. The loss of hidden tokens is their sum times `mask_weight`; None leaves it out."""


def by_length(lengths: Tensor, limit: int, pass_tokens: int = PASS_TOKENS["cpu"]) -> list[Tensor]:
    """Indices of `lengths` in chunks of similar length, at most `limit` in each (0: no limit); the order is fixed.

    The chunks are those that cost least, where one costs its tokens after padding and `pass_tokens` for being a pass.
    """
    order = np.argsort(lengths.numpy(), kind="stable")
    sizes, counts = np.unique(lengths.numpy(), return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])
    best = np.zeros(len(before))
    cut = np.zeros(len(before), np.int64)
    for stop in range(1, len(before)):
        costs = best[:stop] + (before[stop] - before[:stop]) * sizes[stop - 1] + pass_tokens
        cut[stop] = costs.argmin()
        best[stop] = costs[cut[stop]]
    chunks: list[Tensor] = []
    stop = len(before) - 1
    while stop:
        part = torch.from_numpy(order[before[cut[stop]] : before[stop]].copy())
        chunks[:0] = part.split(limit or len(part))
        stop = int(cut[stop])
    return chunks


def inverse(order: Tensor) -> Tensor:
    """Where each index stands in `order`, a permutation."""
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    return places


def to(tensor: Tensor, device: torch.device) -> Tensor:
    """On `device`; to a GPU through pinned memory, so that nothing waits for it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def floats(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 [M, S, S, 3] as float32 [M, 3, S, S] in 0..1 on the device."""
    return to(pixels, device).permute(0, 3, 1, 2).float().div_(255)
