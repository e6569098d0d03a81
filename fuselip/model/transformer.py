"""Pre-norm transformer blocks, shared by all models and the image tokenizer; keys as in open_clip's state dicts.

Shapes: B batch, T tokens, Q tokens wanted, D width, H heads, K head width, M hidden width of the MLP.
The residual stream and the norms stay fp32; `lower_precision` stores the matrices, and so multiplies, in bf16 or fp16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fuselip.model.linear import linear
from fuselip.model.sizes import MLP_RATIO, PATCH_SIZE, TransformerSize

LN_EPS = 1e-5


class Linear(nn.Module):
    """Weight [O, I] and bias [O] of unset values: a checkpoint or `random_init` fills every model."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in))
        self.bias = nn.Parameter(torch.empty(width_out))

    def forward(self, x: Tensor, *, gelu: bool = False, residual: Tensor | None = None) -> Tensor:
        """[..., I] to [..., O]; see `linear`."""
        return linear(x, self.weight, self.bias, gelu=gelu, residual=residual)


class Embedding(nn.Module):
    """A table [N, D] of unset values, looked up by id."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight)


class Conv(nn.Module):
    """Weight and bias of a convolution whose stride is its side, applied as one matrix product, which is faster."""

    def __init__(self, channels: int, width: int, side: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, channels, side, side))
        self.bias = nn.Parameter(torch.empty(width)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """[..., channels * side * side] (channel first) to [..., width]."""
        return linear(x, self.weight.flatten(1), self.bias)


def patches(pixels_BCHW: Tensor, height: int = PATCH_SIZE, width: int = PATCH_SIZE) -> Tensor:
    """The patches of so many pixels, row by row, as `Conv` takes them: [B, P, C * height * width]."""
    rows, columns = pixels_BCHW.shape[2] // height, pixels_BCHW.shape[3] // width
    x = pixels_BCHW.unflatten(3, (columns, width)).unflatten(2, (rows, height))
    return x.permute(0, 2, 4, 1, 3, 5).reshape(len(x), rows * columns, -1)


class Attention(nn.Module):
    """Multi-head attention with the parameter names of nn.MultiheadAttention; bidirectional."""

    def __init__(self, size: TransformerSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size.width, size.width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * size.width))
        self.out_proj = Linear(size.width, size.width)

    def forward(
        self, x_BTD: Tensor, mask: Tensor | None, rows_BQD: Tensor | None, residual_BQD: Tensor | None
    ) -> Tensor:
        """Attend from `rows` (default: every token) to x. `mask` is True where a key may be seen: [B, 1, 1, T], or by
        every token another [B, 1, T, T].

        The result is added to the residual stream, where there is one.
        """
        width = x_BTD.shape[-1]
        if rows_BQD is None:
            q, k, v = linear(x_BTD, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            q = linear(rows_BQD, self.in_proj_weight[:width], self.in_proj_bias[:width])
            k, v = linear(x_BTD, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, dim=-1)
        q_BHQK, k_BHTK, v_BHTK = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        mixed_BHQK = F.scaled_dot_product_attention(q_BHQK, k_BHTK, v_BHTK, attn_mask=mask)
        return self.out_proj(mixed_BHQK.transpose(1, 2).flatten(2), residual=residual_BQD)


class MLP(nn.Module):
    """Two linear layers with a GELU between them: the exact one, or its tanh form."""

    def __init__(self, width: int, hidden: int | None = None, *, tanh: bool = False) -> None:
        super().__init__()
        hidden = hidden or MLP_RATIO * width
        self.tanh = tanh
        self.c_fc = Linear(width, hidden)
        self.c_proj = Linear(hidden, width)

    def forward(self, x_BTD: Tensor, residual_BTD: Tensor) -> Tensor:
        h_BTM = F.gelu(self.c_fc(x_BTD), approximate="tanh") if self.tanh else self.c_fc(x_BTD, gelu=True)
        return self.c_proj(h_BTM, residual=residual_BTD)


class Blocks(nn.Module):
    """The blocks of one transformer, under the key that open_clip gives them. For the options see Block.

    `join`: how many of the first blocks have a mask of their own, `apart`; not all of them.
    """

    def __init__(
        self,
        size: TransformerSize,
        *,
        hidden: int | None = None,
        eps: float = LN_EPS,
        tanh: bool = False,
        join: int = 0,
    ) -> None:
        super().__init__()
        self.join = join
        self.resblocks = nn.ModuleList(Block(size, hidden=hidden, eps=eps, tanh=tanh) for _ in range(size.layers))

    def forward(self, x_BTD: Tensor, mask: Tensor | None = None, apart: Tensor | None = None) -> Tensor:
        """All rows [B, T, D]. Masks are those of `Attention`."""
        for number, block in enumerate(self.resblocks):
            x_BTD = block(x_BTD, apart if number < self.join else mask)
        return x_BTD

    def row(
        self, x_BTD: Tensor, index_B: Tensor | int, mask: Tensor | None = None, apart: Tensor | None = None
    ) -> Tensor:
        """One row of each sequence [B, D]: the same numbers, the last block computed for that row alone."""
        for number, block in enumerate(self.resblocks[:-1]):
            x_BTD = block(x_BTD, apart if number < self.join else mask)
        picked_B1D = x_BTD[torch.arange(len(x_BTD), device=x_BTD.device), index_B].unsqueeze(1)
        row_B1D: Tensor = self.resblocks[-1](x_BTD, mask, picked_B1D)
        return row_B1D.squeeze(1)


class PreNorm(nn.Module):
    """A block of attention and MLP that casts what enters these two to their matrices' precision."""

    attn: nn.Module
    mlp: nn.Module


class Block(PreNorm):
    """x + attention(norm(x)), then x + MLP(norm(x)). `hidden`, `tanh`: those of the MLP; `eps`: of the norms."""

    attn: Attention

    def __init__(
        self, size: TransformerSize, *, hidden: int | None = None, eps: float = LN_EPS, tanh: bool = False
    ) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(size.width, eps=eps)
        self.attn = Attention(size)
        self.ln_2 = nn.LayerNorm(size.width, eps=eps)
        self.mlp = MLP(size.width, hidden, tanh=tanh)

    def forward(self, x_BTD: Tensor, mask: Tensor | None = None, rows_BQD: Tensor | None = None) -> Tensor:
        """The new residual stream [B, T, D]; with `rows` (some tokens of x) theirs alone [B, Q, D].

        In the last block only the rows that are read out need queries and an MLP; keys come from all of x.
        """
        dtype = self.attn.in_proj_weight.dtype
        h_BTD = self.ln_1(x_BTD).to(dtype)
        if rows_BQD is None:
            x = self.attn(h_BTD, mask, None, x_BTD)
        else:
            x = self.attn(h_BTD, mask, self.ln_1(rows_BQD).to(dtype), rows_BQD)
        return self.mlp(self.ln_2(x).to(dtype), x)


def lower_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast the matrices of every block in `module` to `dtype`, in place. Tables, norms and projections stay fp32."""
    for block in module.modules():
        if isinstance(block, PreNorm):
            block.attn.to(dtype)
            block.mlp.to(dtype)


def compile_blocks(module: nn.Module) -> None:
    """torch.compile every block in place; they share their code, so it is compiled once for each size."""
    for block in module.modules():
        if isinstance(block, PreNorm):
            block.compile()
