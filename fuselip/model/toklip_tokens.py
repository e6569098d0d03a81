"""TokLIP as an image tokenizer: the codes of its frozen tokenizer, and its tower's last states as semantic vectors.

Shapes: B pictures, N codes of a picture, C channels (the tower's width).
"""

from __future__ import annotations

from torch import Tensor, nn

from fuselip.model.image_variants import TokLIPVariant
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.model.toklip_vision import Trunk


class TokLIPTokenizer(nn.Module):
    """`trunk` has the keys of a TokLIP under `visual.`, without the pooling head: single tokens are what is read."""

    def __init__(self, variant: TokLIPVariant) -> None:
        super().__init__()
        self.variant = variant
        self.trunk = Trunk(TokLIPConfig(variant.size, with_text=False), whole=False)
        del self.trunk.attn_pool

    def encode(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Codes int64 [B, N], and the states after the last norm, float [B, N, C]."""
        ids_BN = self.encode_ids(pixels_BCHW)
        return ids_BN, self.trunk.states(self.trunk.vq.quantize.vectors(ids_BN))

    def encode_ids(self, pixels_BCHW: Tensor) -> Tensor:
        """Those codes, without the tower."""
        return self.trunk.vq.encode_ids(pixels_BCHW)
