"""What a step costs on paper: multiplications and additions of the matrix products, counted twice each. No torch here.

Forward of one block on T tokens of width D: 24 T D^2 (projections and MLP of ratio 4) + 4 T^2 D (attention); training
costs three times the forward, the frozen image tokenizer its forward only. Norms, tables and optimizer are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from fuselip.model.configs import Config, FuseLIPConfig
from fuselip.model.image_variants import FeatureVariant, PatchVariant, TokLIPVariant
from fuselip.model.sizes import MLF_LAYERS, MLP_RATIO, TOWERS, GridVariant, TiTokVariant, TransformerSize
from fuselip.model.toklip_config import PROJECTOR_RATIO, SIZES, TokLIPConfig
from fuselip.model.vq_sizes import VQVariant

TRAINING = 3
TEXT_TOKENS = 16  # of an average text, SOT and EOT among them: an assumption
PEAKS = {"A100": 312e12, "H100": 989e12, "H200": 989e12}  # dense bf16 FLOP/s, as commonly cited


@dataclass(frozen=True)
class Cost:
    """FLOPs of one pair: `model` forward and backward, `tokenizer` what is frozen of images (none with a cache)."""

    model: float
    tokenizer: float


def blocks(size: TransformerSize, tokens: float, hidden: int | None = None) -> float:
    """Forward FLOPs of a transformer on one sequence. `hidden`: the width inside its MLPs."""
    inside = hidden or MLP_RATIO * size.width
    return size.layers * tokens * size.width * (8 * size.width + 4 * inside + 4 * tokens)


def text_tokens(config: Config) -> int:
    """Tokens of an average text that are computed; SigLIP's towers read all places, padding or not."""
    whole = isinstance(config, TokLIPConfig) and config.size.text_end == "last"
    return config.context_length if whole else TEXT_TOKENS


def pair(config: Config, mask_ratio: float, images: float = 1.5, texts: float = 1.0) -> Cost:
    """Of one pair with `images` images and `texts` texts that are not empty, over its two sides."""
    if isinstance(config, FuseLIPConfig):
        per_side = config.num_image_tokens * images / 2 + TEXT_TOKENS * texts / 2
        head = mask_ratio * per_side * (2 * config.dim**2 + 2 * config.dim * config.vocab_size)
        return Cost(TRAINING * 2 * (blocks(config.size, per_side) + head), images * _tokenizer(config))
    if isinstance(config, TokLIPConfig):
        return _toklip(config, images, texts)
    towers = config.sizes
    patches = (towers.image_side // towers.patch) ** 2
    image = blocks(towers.image, patches + 1) + 2 * patches * 3 * towers.patch**2 * towers.image.width
    fusion = (
        blocks(TransformerSize(config.dim, towers.text.heads, MLF_LAYERS), 2) if config.fusion == "magiclens" else 0
    )
    return Cost(TRAINING * (images * image + texts * blocks(towers.text, TEXT_TOKENS) + 2 * fusion), 0)


def _toklip(config: TokLIPConfig, images: float, texts: float) -> Cost:
    """As published: the text tower and the teacher's image tower are frozen, like the tokenizer."""
    size, count, width = config.size, config.num_image_tokens, config.dim
    tower = blocks(size.tower, count, size.hidden) + 4 * count * width**2  # and the pool's keys and values
    projector = 2 * count * PROJECTOR_RATIO * width * (config.code_dim + width)
    text = blocks(size.tower, text_tokens(config), size.hidden)
    return Cost(TRAINING * images * (projector + tower) + texts * text, images * (_codes(config.variant) + tower))


def _tokenizer(config: FuseLIPConfig) -> float:
    """Forward FLOPs of the image tokenizer on one image."""
    variant, vectors = config.variant, bool(config.vector_dim)
    match variant:
        case TiTokVariant():
            patches, width = (variant.side // 16) ** 2, variant.size.width
            return blocks(variant.size, patches + 1 + variant.num_latents) + 2 * patches * 3 * 16**2 * width
        case FeatureVariant():
            codes = _codes(variant.grid) if variant.grid else 0.0
            return codes + vectors * blocks(TOWERS[variant.towers].image, variant.num_latents + 1)
        case PatchVariant():
            return 0.0
        case TokLIPVariant():
            return _codes(variant.codes) + vectors * blocks(SIZES[variant.size].tower, variant.num_latents)
        case _:
            return _codes(variant)


def _codes(variant: GridVariant | VQVariant) -> float:
    """Of an encoder to a grid of codes; of a convolutional one its 3x3 convolutions, which are nearly all of it."""
    if isinstance(variant, GridVariant):
        patch = 2 * 3 * variant.patch[0] * variant.patch[1] * variant.width
        return variant.num_latents * (patch + 2 * 16 * variant.width**2)
    total, before, pixels = 0.0, variant.width, variant.side**2
    for multiple in variant.multipliers:
        width = variant.width * multiple
        total += 18 * pixels * (before * width + (2 * variant.depth - 1) * width**2)
        before, pixels = width, pixels // 4
    return total
