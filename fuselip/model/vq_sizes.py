"""Shapes of convolutional image tokenizers with a learned codebook: LlamaGen's VQ-16 and IBQ. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Nearest = Literal["cosine", "product"]


@dataclass(frozen=True)
class VQVariant:
    """One encoder and its codebook; a picture of `side` pixels has a code for each square of `patch` pixels.

    `width`: channels of the first level, `multipliers` those of each level in multiples of it (each but the last halves
    the picture), `depth`: residual blocks a level. `nearest`: the code of the smallest angle ("cosine": both are
    L2-normalised, and so are the vectors that are handed on), or of the largest inner product ("product", as IBQ).
    `repo` is its name in config.json.
    """

    repo: str
    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    depth: int = 2
    latent_dim: int = 256
    num_codes: int = 16384
    code_dim: int = 8
    nearest: Nearest = "cosine"
    side: int = 256

    @property
    def patch(self) -> int:
        return int(2 ** (len(self.multipliers) - 1))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of codes."""
        return self.side // self.patch, self.side // self.patch

    @property
    def num_latents(self) -> int:
        return self.grid[0] * self.grid[1]

    def at(self, side: int) -> VQVariant:
        """The same weights for pictures of another size: the encoder is a convolution."""
        return replace(self, side=side)


VQS: dict[str, VQVariant] = {
    "vq16": VQVariant("llamagen-vq-ds16-t2i"),
    "ibq": VQVariant("ibq-262144", depth=4, num_codes=262144, code_dim=256, nearest="product", side=512),
}
