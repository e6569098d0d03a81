"""The image tokenizers that a FuseLIP configuration may name, and what each of them gives. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fuselip.core.plugins import did_you_mean
from fuselip.model.sizes import BSQ_GRIDS, GRIDS, TITOKS, TOWERS, GridVariant, TiTokVariant
from fuselip.model.toklip_config import SIZES
from fuselip.model.vq_sizes import VQS, VQVariant

ImageFeatures = Literal["ids", "vectors", "both"]


@dataclass(frozen=True)
class FeatureVariant:
    """The patch features of a late-fusion image tower, beside the codes of a grid of as many patches (or none).

    Without a grid there is one code, which says no more than that a part of a picture stands here.
    `tower_of`: the model whose tower it is, by the name of its weights in the package.
    """

    towers: str
    tower_of: str
    codes: str | None
    repo: str

    @property
    def grid(self) -> GridVariant | None:
        return GRIDS[self.codes] if self.codes else None

    @property
    def num_latents(self) -> int:
        return TOWERS[self.towers].num_patches

    @property
    def num_codes(self) -> int:
        return self.grid.num_codes if self.grid else 1

    @property
    def code_dim(self) -> int:
        """Channels of a vector."""
        return TOWERS[self.towers].image.width

    @property
    def side(self) -> int:
        return TOWERS[self.towers].image_side


FEATURES: dict[str, FeatureVariant] = {
    "grid64-siglip": FeatureVariant("ViT-Ti-8-64", "siglip-ti-sf", "grid64", "fuselip-grid64-siglip"),
    "siglip": FeatureVariant("ViT-Ti-8-64", "siglip-ti-sf", None, "fuselip-siglip"),
}


@dataclass(frozen=True)
class TokLIPVariant:
    """The codes that a TokLIP (arXiv 2505.05422) reads, and its states at them. `size`: its name in `toklip_config`."""

    size: str
    repo: str

    @property
    def codes(self) -> VQVariant | GridVariant:
        return SIZES[self.size].tokenizer

    @property
    def num_latents(self) -> int:
        return self.codes.num_latents

    @property
    def num_codes(self) -> int:
        return self.codes.num_codes

    @property
    def code_dim(self) -> int:
        """Channels of a vector."""
        return SIZES[self.size].tower.width

    @property
    def side(self) -> int:
        return self.codes.side


TOKLIPS = {f"toklip-{size}": TokLIPVariant(size, f"fuselip-toklip-{size}") for size in SIZES}


@dataclass(frozen=True)
class PatchVariant:
    """The pixels of square patches as vectors, as they are: one code, and no weights. `patch`, `side`: in pixels."""

    patch: int
    side: int
    repo: str

    @property
    def num_latents(self) -> int:
        return (self.side // self.patch) ** 2

    @property
    def num_codes(self) -> int:
        return 1

    @property
    def code_dim(self) -> int:
        """Channels of a vector."""
        return 3 * self.patch**2


PATCHES = {"patches64": PatchVariant(8, 64, "fuselip-patches64")}  # by the number of patches

ImageVariant = TiTokVariant | GridVariant | VQVariant | FeatureVariant | PatchVariant | TokLIPVariant


def image_variants() -> dict[str, ImageVariant]:
    """All of them by name."""
    return {**TITOKS, **GRIDS, **BSQ_GRIDS, **VQS, **FEATURES, **PATCHES, **TOKLIPS}


def vector_dim(variant: ImageVariant) -> int:
    """Channels of the vectors that it gives beside ids; 0 where ids are all that a model here reads of it."""
    return 0 if isinstance(variant, TiTokVariant | GridVariant) else variant.code_dim


def fewest(variant: ImageVariant) -> int:
    """How few of a picture's codes, from the first on, may be taken."""
    return 1 if isinstance(variant, TiTokVariant) and variant.tail_drop else variant.num_latents


def misfit(name: str, features: ImageFeatures, count: int) -> str:
    """What is asked of the image tokenizer `name` that it does not give (`count` of its codes, 0: all), or ""."""
    known = image_variants()
    if name not in known:
        return f"unknown image tokenizer {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}"
    variant = known[name]
    if features != "ids" and not vector_dim(variant):
        others = ", ".join(other for other, each in known.items() if vector_dim(each))
        return (
            f"image_features is {features!r}, and the image tokenizer {name!r} gives ids alone; those with vectors: "
            f"{others}"
        )
    if features != "vectors" and variant.num_codes == 1:
        return f"the image tokenizer {name!r} gives vectors alone: image_features must be 'vectors', not {features!r}"
    low, high = fewest(variant), variant.num_latents
    if count and not low <= count <= high:
        gives = f"{low} to {high}" if low < high else f"{high}"
        return f"image_tokens is {count}, and the image tokenizer {name!r} gives {gives}"
    return ""
