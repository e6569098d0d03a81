"""Tables of shapes: transformers, towers, image tokenizers, text tokenizers' id layouts. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

IMAGE_SIZE = 256
PATCH_SIZE = 16
NUM_PATCHES = (IMAGE_SIZE // PATCH_SIZE) ** 2
MLP_RATIO = 4

# Token layout: text ids, then [MASK], then image codes.
PAD, SOT, EOT, MASK = 0, 49406, 49407, 49408
NUM_TEXT_TOKENS = 49408
CONTEXT_LENGTH = 180
MAX_CONTEXT_LENGTH = 4096

Quantizer = Literal["fsq", "bsq"]


@dataclass(frozen=True)
class TransformerSize:
    """Width (hidden channels), attention heads and blocks of one transformer."""

    width: int
    heads: int
    layers: int


@dataclass(frozen=True)
class TiTokVariant:
    """One published TiTok encoder (arXiv 2406.07550): its transformer, latent tokens, codebook and two conventions.

    `normalise`: latents and codes are L2-normalised before the nearest code is looked up.
    `legacy`: the latents are reshaped, not transposed, before the last projection (see `titok`).
    `tail_drop`: trained so that the first codes of a picture alone do too (One-D-Piece, arXiv 2501.10064).
    """

    size: TransformerSize
    num_latents: int
    num_codes: int
    code_dim: int
    normalise: bool
    legacy: bool
    repo: str
    side: int = IMAGE_SIZE
    tail_drop: bool = False


@dataclass(frozen=True)
class GridVariant:
    """One shape of our own tokenizer (`grid_tokenizer`): a code for each patch (height, width) of a square picture.

    `levels`: those of finite scalar quantisation, a channel each; with the quantizer "bsq" 2 a channel, of which there
    are as many as bits. `repo` is its name in config.json.
    """

    patch: tuple[int, int]
    levels: tuple[int, ...]
    repo: str
    width: int = 128
    decoder_blocks: int = 3
    side: int = 64
    quantizer: Quantizer = "fsq"

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of codes."""
        return self.side // self.patch[0], self.side // self.patch[1]

    @property
    def num_latents(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def num_codes(self) -> int:
        return math.prod(self.levels)


TRANSFORMERS: dict[str, TransformerSize] = {
    "small": TransformerSize(384, 6, 12),
    "base": TransformerSize(512, 8, 12),
    "large": TransformerSize(768, 12, 12),
    "ti": TransformerSize(160, 5, 4),
}

_TITOK_SMALL, _TITOK_BASE, _TITOK_LARGE = (
    TransformerSize(512, 8, 8),
    TransformerSize(768, 12, 12),
    TransformerSize(1024, 16, 24),
)
_TITOK_REPO = "yucornetto/tokenizer_titok_{}_imagenet"

TITOKS: dict[str, TiTokVariant] = {
    "s128": TiTokVariant(_TITOK_SMALL, 128, 4096, 12, True, True, _TITOK_REPO.format("s128")),
    "b64": TiTokVariant(_TITOK_BASE, 64, 4096, 12, True, True, _TITOK_REPO.format("b64")),
    "l32": TiTokVariant(_TITOK_LARGE, 32, 4096, 12, True, True, _TITOK_REPO.format("l32")),
    "bl64": TiTokVariant(_TITOK_BASE, 64, 8192, 64, False, False, _TITOK_REPO.format("bl64_vq8k")),
    "bl128": TiTokVariant(_TITOK_BASE, 128, 8192, 64, False, False, _TITOK_REPO.format("bl128_vq8k")),
    "sl256": TiTokVariant(_TITOK_SMALL, 256, 8192, 64, False, False, _TITOK_REPO.format("sl256_vq8k")),
}

_TATITOK_REPO = "turkeyju/tokenizer_tatitok_{}_vq"
TITOKS |= {  # TA-TiTok (arXiv 2501.07730): text is for its decoder alone, the encoder is TiTok's
    f"ta-{name}": TiTokVariant(_TITOK_BASE, count, 8192, 64, False, False, _TATITOK_REPO.format(name))
    for name, count in (("bl32", 32), ("bl64", 64), ("bl128", 128))
}
TITOKS |= {  # One-D-Piece: TiTok's legacy encoder with 256 codes, of which any number of the first may be taken
    f"onedpiece-{name.lower()}": TiTokVariant(
        size, 256, 4096, 12, True, True, f"turing-motors/One-D-Piece-{name}-256", tail_drop=True
    )
    for name, size in (("S", _TITOK_SMALL), ("B", _TITOK_BASE), ("L", _TITOK_LARGE))
}

_LEVELS = (5, 5, 5, 4, 4)  # 2000 codes

GRIDS: dict[str, GridVariant] = {  # by the number of codes of a picture
    "grid16": GridVariant((16, 16), _LEVELS, "fuselip-grid16"),
    "grid64": GridVariant((8, 8), _LEVELS, "fuselip-grid64"),
    "grid128": GridVariant((8, 4), _LEVELS, "fuselip-grid128"),
    "grid256": GridVariant((4, 4), _LEVELS, "fuselip-grid256"),
}
BSQ_BITS = 11  # 2048 codes, next to the 2000 above
BSQ_GRIDS: dict[str, GridVariant] = {  # the same shapes with binary spherical quantisation
    f"{name}-bsq": replace(grid, levels=(2,) * BSQ_BITS, repo=f"{grid.repo}-bsq", quantizer="bsq")
    for name, grid in GRIDS.items()
}


@dataclass(frozen=True)
class TextLayout:
    """The ids of one text tokenizer: `num_tokens` with its special ones, of which EOT is the last and PAD is 0."""

    num_tokens: int

    @property
    def sot(self) -> int:
        return self.num_tokens - 2

    @property
    def eot(self) -> int:
        return self.num_tokens - 1


TEXTS: dict[str, TextLayout] = {"clip": TextLayout(NUM_TEXT_TOKENS), "bytes": TextLayout(2560)}


@dataclass(frozen=True)
class Towers:
    """The two towers of a late-fusion baseline. Their shared embedding is as wide as the text tower.

    The image tower sees pictures of `image_side` pixels in patches of `patch` pixels a side.
    """

    image: TransformerSize
    text: TransformerSize
    image_side: int = IMAGE_SIZE
    patch: int = PATCH_SIZE

    @property
    def num_patches(self) -> int:
        return (self.image_side // self.patch) ** 2


TOWERS: dict[str, Towers] = {  # by the names that the paper's code gives them
    "ViT-S-16-256-180-mask": Towers(TRANSFORMERS["small"], TRANSFORMERS["small"]),
    "ViT-B-16-256-180-mask": Towers(TransformerSize(768, 12, 12), TRANSFORMERS["base"]),
    "ViT-Ti-8-64": Towers(TRANSFORMERS["ti"], TRANSFORMERS["ti"], image_side=64, patch=8),
}
MLF_LAYERS = 4  # blocks over the two tokens [image, text]
