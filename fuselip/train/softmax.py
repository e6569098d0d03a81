"""The softmax contrastive loss (InfoNCE, as CLIP's, arXiv 2103.00020), exact whatever the number of processes.

Not the paper's, which is the sigmoid loss. At a small scale it breaks through sooner: a pair is compared with its own
group's hard negatives from the first step, whatever the bias. Shapes: N pairs here, C rights of a chunk, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fuselip.train.gather import Peers
from fuselip.train.losses import CHUNK, Divide, apart, weight_of


def softmax_loss(
    left_ND: Tensor,
    right_ND: Tensor,
    log_scale: Tensor,
    *,
    counts: Sequence[int] | None = None,
    peers: Peers | None = None,
    divide: Divide = "global",
    keys_N: Tensor | None = None,
) -> Tensor:
    """This process's share of the mean of two cross entropies: of each left over all rights, and the other way round.

    `left`, `right`: unit vectors of this process's pairs. The shares of all processes add up to the loss, and their
    parameters' gradients, added up, are its gradient. `counts`, `divide`, `keys`: as for `losses.sigmoid_loss`.
    """
    peers = peers or Peers()
    counts = [len(left_ND)] if counts is None else list(counts)
    weight = weight_of(counts, peers.rank, divide)
    with torch.autocast(left_ND.device.type, enabled=False):
        loss: Tensor = _SoftmaxLoss.apply(left_ND.float(), right_ND.float(), log_scale, keys_N, counts, weight, peers)
    return loss


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        left_ND: Tensor,
        right_ND: Tensor,
        log_scale: Tensor,
        keys_N: Tensor | None,
        counts: Sequence[int],
        weight: float,
        peers: Peers,
    ) -> Tensor:
        scale = log_scale.exp()
        rows_N = left_ND.new_zeros(len(left_ND), dtype=torch.float64)
        columns = []
        for source, _, chunk, power_NC, _ in _chunks(left_ND, right_ND, scale, keys_N, counts, peers):
            rows_N += power_NC.sum(1)
            columns.append(peers.copy_of(peers.sum_at(power_NC.sum(0), source), (len(chunk),), source))
        sums = left_ND.new_zeros(2, dtype=torch.float64)  # loss, gradient of log_scale
        grad_left, grad_right = torch.zeros_like(left_ND), torch.zeros_like(right_ND)
        again = _chunks(left_ND, right_ND, scale, keys_N, counts, peers)
        for column_C, (source, start, chunk, power_NC, cosine_NC) in zip(columns, again, strict=True):
            slope_NC = (power_NC / rows_N[:, None] + power_NC / column_C) * (weight / 2)
            if source == peers.rank:
                places = torch.arange(len(chunk), device=left_ND.device)
                slope_NC[places + start, places] -= weight
                right_NC = (rows_N[start : start + len(chunk)].log() + column_C.log()) / 2 + scale
                sums[0] += (right_NC - scale * cosine_NC[places + start, places]).sum() * weight
            sums[1] += (slope_NC * cosine_NC).sum() * scale
            slope_NC = slope_NC.to(left_ND.dtype)
            grad_left += (slope_NC @ chunk) * scale
            found = peers.sum_at((slope_NC.T @ left_ND) * scale, source)
            if source == peers.rank:
                grad_right[start : start + len(chunk)] = found
        ctx.save_for_backward(grad_left, grad_right, sums[1].to(log_scale.dtype))
        return sums[0].float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*(grad * saved for saved in ctx.saved_tensors), None, None, None, None)


def _chunks(
    left_ND: Tensor,
    right_ND: Tensor,
    scale: Tensor,
    keys_N: Tensor | None,
    counts: Sequence[int],
    peers: Peers,
) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
    """(process, its first row, its rights [C, D], exp(logit - scale) float64 [N, C], cosines [N, C]) of all rights.

    No logit is above the scale, and in float64 none below it vanishes: so no maximum has to be found first.
    """
    for source, count in enumerate(counts):
        for start in range(0, count, CHUNK):
            size = min(CHUNK, count - start)
            chunk = peers.copy_of(right_ND[start : start + size], (size, right_ND.shape[1]), source)
            cosine_NC = left_ND @ chunk.T
            power_NC = ((cosine_NC - 1) * scale).double().exp()
            if keys_N is not None:
                known = peers.copy_of(keys_N[start : start + size], (size,), source)
                power_NC = power_NC * apart(keys_N, known, start if source == peers.rank else None)
            yield source, start, chunk, power_NC, cosine_NC
