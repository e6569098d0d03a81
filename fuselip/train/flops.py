"""What a step costs on paper: multiplications and additions of the matrix products, counted twice each. No torch here.

Forward of one block on T tokens of width D: 24 T D^2 (projections and MLP of ratio 4) + 4 T^2 D (attention); training
costs three times the forward, the frozen image tokenizer its forward only. Norms, tables and optimizer are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from fuselip.model.configs import Config, FuseLIPConfig
from fuselip.model.sizes import GRIDS, MLF_LAYERS, TITOKS, TiTokVariant, TransformerSize

TRAINING = 3
TEXT_TOKENS = 16  # of an average text, SOT and EOT among them: an assumption
PEAKS = {"A100": 312e12, "H100": 989e12, "H200": 989e12}  # dense bf16 FLOP/s, as commonly cited


@dataclass(frozen=True)
class Cost:
    """FLOPs of one pair: `model` forward and backward, `tokenizer` the frozen image tokenizer (none with a cache)."""

    model: float
    tokenizer: float


def blocks(size: TransformerSize, tokens: float) -> float:
    """Forward FLOPs of a transformer on one sequence."""
    return size.layers * (24 * tokens * size.width**2 + 4 * tokens**2 * size.width)


def pair(config: Config, mask_ratio: float, images: float = 1.5, texts: float = 1.0) -> Cost:
    """Of one pair with `images` images and `texts` texts that are not empty, over its two sides."""
    if isinstance(config, FuseLIPConfig):
        per_side = config.num_image_tokens * images / 2 + TEXT_TOKENS * texts / 2
        head = mask_ratio * per_side * (2 * config.dim**2 + 2 * config.dim * config.vocab_size)
        return Cost(TRAINING * 2 * (blocks(config.size, per_side) + head), images * _tokenizer(config))
    towers = config.sizes
    patches = (towers.image_side // towers.patch) ** 2
    image = blocks(towers.image, patches + 1) + 2 * patches * 3 * towers.patch**2 * towers.image.width
    fusion = (
        blocks(TransformerSize(config.dim, towers.text.heads, MLF_LAYERS), 2) if config.fusion == "magiclens" else 0
    )
    return Cost(TRAINING * (images * image + texts * blocks(towers.text, TEXT_TOKENS) + 2 * fusion), 0)


def _tokenizer(config: FuseLIPConfig) -> float:
    """Forward FLOPs of the image tokenizer on one image."""
    if config.image_tokenizer in GRIDS:
        grid = GRIDS[config.image_tokenizer]
        patch = 2 * 3 * grid.patch[0] * grid.patch[1] * grid.width
        return grid.num_latents * (patch + 2 * 16 * grid.width**2)
    titok: TiTokVariant = TITOKS[config.image_tokenizer]
    patches, width = (titok.side // 16) ** 2, titok.size.width
    return blocks(titok.size, patches + 1 + titok.num_latents) + 2 * patches * 3 * 16**2 * width
