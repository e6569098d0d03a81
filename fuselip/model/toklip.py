"""TokLIP (arXiv 2505.05422): a contrastive pair of towers, of which the image's reads a frozen tokenizer's codes.

Shapes: B batch, T tokens, D width. Keys as in the published state dicts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fuselip.model.tokens import key_mask
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.model.toklip_vision import EPS, Trunk
from fuselip.model.transformer import LN_EPS, Blocks, Embedding, Linear


class TokLIP(nn.Module):
    """Two towers of one shape (SigLIP 2's), each giving a feature of its own; what joins them stands outside.

    `whole`: with the tokenizer's decoder, as the published files have it. It is never computed with here.
    """

    def __init__(self, config: TokLIPConfig, *, whole: bool = False) -> None:
        super().__init__()
        self.config = config
        self.logit_scale = nn.Parameter(torch.empty(()))
        self.logit_bias = nn.Parameter(torch.empty(()))
        self.visual = Visual(config, whole=whole)
        if config.with_text:
            self.text = TextTower(config)

    def image_embedding(self, pixels_BCHW: Tensor) -> Tensor:
        """The image tower's output [B, D], not normalised, of float pixels [B, 3, S, S] in 0..1."""
        return self.visual.trunk(pixels_BCHW)

    def text_embedding(self, ids_BT: Tensor) -> Tensor:
        """The text tower's output [B, D], not normalised, of ids filled up to the context's length."""
        return self.text(ids_BT)


def counted(config: TokLIPConfig) -> dict[str, Any]:
    """{"parameters": {"total", "visual", "text", "vq"}, "keys"}: numbers and tensors of a published file of this model.

    The tokenizer's decoder and what its training kept count in; copies that it averaged weights into do not.
    """
    with torch.device("meta"):
        sizes = {key: tensor.numel() for key, tensor in TokLIP(config, whole=True).state_dict().items()}
    parts = {"total": "", "visual": "visual.", "text": "text.", "vq": "visual.trunk.vq."}
    numbers = {
        part: sum(count for key, count in sizes.items() if key.startswith(prefix)) for part, prefix in parts.items()
    }
    return {"parameters": numbers, "keys": len(sizes)}


class Visual(nn.Module):
    def __init__(self, config: TokLIPConfig, *, whole: bool) -> None:
        super().__init__()
        self.trunk = Trunk(config, whole=whole)


class TextTower(nn.Module):
    """A bidirectional transformer; for where it is read, and whether padding is masked, see `TokLIPSize.text_end`."""

    def __init__(self, config: TokLIPConfig) -> None:
        super().__init__()
        size, width = config.size, config.dim
        self.at_last = size.text_end == "last"
        eps = EPS if self.at_last else LN_EPS
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, width))
        self.token_embedding = Embedding(config.num_text_tokens, width)
        self.transformer = Blocks(size.tower, hidden=size.hidden, eps=eps, tanh=self.at_last)
        self.ln_final = nn.LayerNorm(width, eps=eps)
        self.text_projection = Linear(width, width)

    def forward(self, ids_BT: Tensor) -> Tensor:
        assert not self.at_last or ids_BT.shape[1] == len(self.positional_embedding), ids_BT.shape
        end_B: Tensor | int = ids_BT.shape[1] - 1
        mask = None
        if not self.at_last:
            end_B = ids_BT.argmax(dim=1)  # EOT is the largest id, and the first one counts
            ids_BT = ids_BT[:, : int(end_B.max()) + 1]
            mask = key_mask(ids_BT, end_B + 1, "length")
        x_BTD = self.token_embedding(ids_BT) + self.positional_embedding[: ids_BT.shape[1]]
        return self.text_projection(self.ln_final(self.transformer.row(x_BTD, end_B, mask)))
