"""One matrix product with what follows it (bias, GELU, residual), by the fastest kernel for the device.

fp32 on CPUs goes to oneDNN: where no gradient is wanted it fuses those steps, and on AMD processors it is up to twice
as fast as the library behind torch.nn.functional.linear, forward and backward. Both are full fp32; they differ in the
order of the sums.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, gelu: bool = False, residual: Tensor | None = None
) -> Tensor:
    """x [..., I] @ weight [O, I].T (+ bias [O]), then exact GELU if asked for, then `residual` [..., O] added."""
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and x.numel() > 0
    if plain and not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu") and _onednn():
        if not torch.is_grad_enabled():
            return _by_onednn(x, weight, bias, gelu, residual)
        y: Tensor = _Differentiable.apply(x, weight, bias)
    else:
        y = F.linear(x, weight, bias)
    y = F.gelu(y) if gelu else y
    return y if residual is None else residual + y


class _Differentiable(torch.autograd.Function):
    """The product with its gradients, all three by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_onednn(x, weight, bias, False, None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows, wanted = grad.flatten(0, -2), ctx.needs_input_grad
        d_x = _by_onednn(grad, weight.t().contiguous(), None, False, None) if wanted[0] else None
        d_weight = None
        if wanted[1]:
            d_weight = _by_onednn(rows.t().contiguous(), x.flatten(0, -2).t().contiguous(), None, False, None)
        return d_x, d_weight, rows.sum(0) if wanted[2] else None


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool, residual: Tensor | None) -> Tensor:
    if residual is None:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
        return y
    assert not gelu, "a residual is added to a plain product only"
    y = torch.ops.mkldnn._linear_pointwise.binary(x, residual, weight, bias, "add")
    return y


@lru_cache(maxsize=1)
def _onednn() -> bool:
    """Whether this build of torch has the fused operators, and they compute what we take them to compute."""
    x, weight, bias = (
        torch.linspace(-1, 1, 12).view(1, 3, 4),
        torch.linspace(-2, 2, 20).view(5, 4),
        torch.linspace(0, 1, 5),
    )
    plain = F.linear(x, weight, bias)
    try:
        return all(
            torch.allclose(found, wanted, atol=1e-5)
            for found, wanted in (
                (_by_onednn(x, weight, bias, False, None), plain),
                (_by_onednn(x, weight, bias, True, None), F.gelu(plain)),
                (_by_onednn(x, weight, bias, False, plain), 2 * plain),
                (_by_onednn(x, weight, None, False, None), F.linear(x, weight)),
            )
        )
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):  # not built in, or its signature changed
        return False
