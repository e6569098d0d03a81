"""The sigmoid contrastive loss (arXiv 2303.15343), exact whatever the number of processes and their batch sizes.

Shapes: N pairs of this process, C right-hand sides of one chunk, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from fuselip.core.seeds import derive
from fuselip.train.gather import Peers

Divide = Literal["global", "local"]
CHUNK = 4096  # right-hand sides compared at once: what bounds the memory of the comparison


def weight_of(counts: Sequence[int], rank: int, divide: Divide) -> float:
    """What a term of process `rank` counts for when the processes' losses are added up.

    "global": 1 / (pairs, or masked tokens, of all processes), so that the split over processes changes nothing.
    "local": the reference's mean over processes of their own means.
    """
    total = sum(counts) if divide == "global" else counts[rank] * len(counts)
    return 1 / total if total else 0.0


def sigmoid_loss(
    left_ND: Tensor,
    right_ND: Tensor,
    log_scale: Tensor,
    bias: Tensor,
    *,
    counts: Sequence[int] | None = None,
    peers: Peers | None = None,
    divide: Divide = "global",
    keys_N: Tensor | None = None,
) -> Tensor:
    """This process's share of -sum_ij logsigmoid(y_ij (exp(log_scale) <l_i, r_j> + bias)) / N, y = +1 for i = j.

    `left`, `right`: unit vectors of this process's pairs. Every left is compared with the rights of all processes.
    The shares of all processes add up to the loss, and their parameters' gradients, added up, are its gradient.
    `counts`: the pairs of each process. `keys` (int64, see `content_keys`): rights of equal content are no negatives.
    The gradient is computed along with the loss, chunk by chunk, so that no table of all similarities is ever held.
    """
    peers = peers or Peers()
    counts = [len(left_ND)] if counts is None else list(counts)
    weight = weight_of(counts, peers.rank, divide)
    with torch.autocast(left_ND.device.type, enabled=False):
        loss: Tensor = _SigmoidLoss.apply(
            left_ND.float(), right_ND.float(), log_scale, bias, keys_N, counts, weight, peers
        )
    return loss


def content_keys(keys: Sequence[str]) -> Tensor:
    """Content keys as int64 numbers [N]: equal where the keys are equal."""
    return torch.tensor([derive(key) for key in keys], dtype=torch.int64)


def apart(keys_N: Tensor, keys_C: Tensor, diagonal: int | None) -> Tensor:
    """Which rights of a chunk each left is compared with: bool [N, C], those of other content and its own partner.

    `diagonal`: the left whose partner comes first in the chunk; None where the chunk is another process's.
    """
    apart_NC = keys_N[:, None] != keys_C
    if diagonal is not None:
        rows = torch.arange(len(keys_C), device=keys_C.device)
        apart_NC[rows + diagonal, rows] = True
    return apart_NC


class _SigmoidLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        left_ND: Tensor,
        right_ND: Tensor,
        log_scale: Tensor,
        bias: Tensor,
        keys_N: Tensor | None,
        counts: Sequence[int],
        weight: float,
        peers: Peers,
    ) -> Tensor:
        grad_left, grad_right = torch.zeros_like(left_ND), torch.zeros_like(right_ND)
        sums = left_ND.new_zeros(3, dtype=torch.float64)  # loss, gradients of log_scale and bias
        for source, count in enumerate(counts):
            for start in range(0, count, CHUNK):
                size = min(CHUNK, count - start)
                here = source == peers.rank
                chunk = peers.copy_of(right_ND[start : start + size], (size, right_ND.shape[1]), source)
                known = None
                if keys_N is not None:
                    known = peers.copy_of(keys_N[start : start + size], (size,), source)
                terms = _compare(left_ND, chunk, log_scale, bias, start if here else None, keys_N, known, weight)
                sums += terms[0]
                grad_left += terms[1]
                found = peers.sum_at(terms[2], source)
                if here:
                    grad_right[start : start + size] = found
        ctx.save_for_backward(grad_left, grad_right, *sums[1:].to(log_scale.dtype))
        return sums[0].float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*(grad * saved for saved in ctx.saved_tensors), None, None, None, None)


def _compare(
    left_ND: Tensor,
    right_CD: Tensor,
    log_scale: Tensor,
    bias: Tensor,
    diagonal: int | None,
    keys_N: Tensor | None,
    keys_C: Tensor | None,
    weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """[loss, d log_scale, d bias], d left and d right of one chunk. `diagonal`: the left whose partner comes first."""
    scale = log_scale.exp()
    cosine_NC = left_ND @ right_CD.T
    logit_NC = cosine_NC * scale + bias
    sign_NC = torch.full_like(logit_NC, -1.0)
    apart_NC = None if keys_N is None or keys_C is None else apart(keys_N, keys_C, diagonal)
    if diagonal is not None:
        rows = torch.arange(len(right_CD), device=left_ND.device)
        sign_NC[rows + diagonal, rows] = 1.0
    logit_NC *= sign_NC
    loss_NC = F.softplus(-logit_NC)
    slope_NC = torch.sigmoid(-logit_NC).mul_(sign_NC).mul_(-weight)
    if apart_NC is not None:
        loss_NC, slope_NC = loss_NC * apart_NC, slope_NC * apart_NC
    d_scale = (slope_NC * cosine_NC).sum(dtype=torch.float64) * scale
    sums = torch.stack([loss_NC.sum(dtype=torch.float64) * weight, d_scale, slope_NC.sum(dtype=torch.float64)])
    return sums, (slope_NC @ right_CD) * scale, (slope_NC.T @ left_ND) * scale
