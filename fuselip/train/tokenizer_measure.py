"""How well an image tokenizer keeps pictures: PSNR, and how much of its codebook it uses, on pictures it never saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from fuselip.model.grid_tokenizer import GridTokenizer
from fuselip.model.titok import TiTokEncoder
from fuselip.train.tokenizer_pictures import to_floats

BATCH = 64


@dataclass(frozen=True)
class Quality:
    """`psnr`: dB, mean over pictures of 10 log10(1 / mean squared error of values in 0..1); None without a decoder.

    `perplexity`: how many
    equally frequent codes would be as varied as those met; `used`: share of the codebook that was met at all.
    """

    pictures: int
    psnr: float | None
    perplexity: float
    used: float

    def to_json(self) -> dict[str, Any]:
        return {key: None if value is None else round(value, 4) for key, value in asdict(self).items()}

    def __str__(self) -> str:
        made = "PSNR unknown (no decoder)" if self.psnr is None else f"PSNR {self.psnr:.2f} dB"
        return f"{made}, perplexity {self.perplexity:.1f}, {self.used:.1%} of the codes used, {self.pictures} pictures"


@torch.no_grad()
def measure(model: GridTokenizer | TiTokEncoder, pixels: np.ndarray) -> Quality:
    """On uint8 pictures [N, S, S, 3]. Codes are taken as a model takes them, the pictures made from codes alone.

    Of TiTok we have the encoder, so its codebook use is measured and its PSNR is not.
    """
    encoder = model.encoder if isinstance(model, GridTokenizer) else model
    device = next(model.parameters()).device
    errors: list[np.ndarray] = []
    counts = np.zeros(model.variant.num_codes, np.int64)
    for start in range(0, len(pixels), BATCH):
        wanted = to_floats(pixels[start : start + BATCH]).to(device)
        ids = encoder.encode_ids(wanted)
        counts += np.bincount(ids.flatten().cpu().numpy(), minlength=len(counts))
        if isinstance(model, GridTokenizer):
            errors.append((model.reconstruct(ids) - wanted).square().mean((1, 2, 3)).double().cpu().numpy())
    shares = counts[counts > 0] / counts.sum()
    perplexity = float(np.exp(-(shares * np.log(shares)).sum()))
    # A perfect copy counts as 100 dB.
    psnr = float(-10 * np.log10(np.maximum(np.concatenate(errors), 1e-10)).mean()) if errors else None
    return Quality(len(pixels), psnr, perplexity, float((counts > 0).mean()))
