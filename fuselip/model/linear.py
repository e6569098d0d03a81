"""One matrix product with what follows it (bias, GELU, residual), by the fastest kernel for the device.

Where no gradient is wanted, fp32 on CPUs goes to oneDNN: it fuses those steps, and on AMD processors it is twice as
fast as the library behind torch.nn.functional.linear. Both are full fp32; they differ in the order of the sums.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, gelu: bool = False, residual: Tensor | None = None
) -> Tensor:
    """x [..., I] @ weight [O, I].T (+ bias [O]), then exact GELU if asked for, then `residual` [..., O] added."""
    fused = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not torch.is_grad_enabled()
    if fused and not torch.compiler.is_compiling() and _onednn():
        return _by_onednn(x, weight, bias, gelu, residual)
    y = F.linear(x, weight, bias)
    y = F.gelu(y) if gelu else y
    return y if residual is None else residual + y


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
