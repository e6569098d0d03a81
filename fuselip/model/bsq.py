"""Binary spherical quantisation (arXiv 2406.07548): latents on the unit sphere, each channel rounded to its sign.

Shapes: E channels (bits), N = 2^E codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BSQ(nn.Module):
    """No weights: an id is the number whose binary digits are the signs, the first channel being the lowest digit."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.num_codes = 2**bits

    def forward(self, z: Tensor) -> Tensor:
        """z [..., E] as code vectors of length 1 (corners of a cube in the sphere); gradients pass the rounding."""
        unit = F.normalize(z, dim=-1)
        return unit + (self.vectors(self.ids(z)).to(unit) - unit).detach()

    def ids(self, z: Tensor) -> Tensor:
        """Codes int64 [...] of z [..., E]: that of the nearest corner. No arithmetic, so no precision to choose."""
        return ((z > 0).long() << self._places(z.device)).sum(-1)

    def vectors(self, ids: Tensor) -> Tensor:
        """The code vectors float32 [..., E] of ids [...], of length 1."""
        digits = ids[..., None] >> self._places(ids.device) & 1
        return (2 * digits - 1) * self.bits**-0.5

    def _places(self, device: torch.device) -> Tensor:
        return torch.arange(self.bits, device=device)
