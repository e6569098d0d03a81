"""The five TGIT families of the FuseLIP paper (arXiv 2506.03096): names, edits, and how often training draws them."""

from __future__ import annotations

from dataclasses import dataclass

from datagen.transforms import colorize, crop, flip, rotate
from datagen.transforms.edit import Edit


@dataclass(frozen=True)
class Family:
    """`edits`: all of them, or () where they are drawn (jitter). `in_evaluation`, `in_training`: how many an item gets.

    `paper_name` is what the reference code calls it; `share` its share of the augmented training pairs.
    """

    name: str
    paper_name: str
    edits: tuple[Edit, ...]
    in_evaluation: int
    in_training: int
    share: int


# In the order in which the reference evaluates them: its draws run on from one family to the next.
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("crop", "randomcrop", crop.EDITS, in_evaluation=9, in_training=9, share=2),
        Family("rotate", "rotate", rotate.EDITS, in_evaluation=18, in_training=3, share=1),
        Family("jitter", "colorjitterv2", (), in_evaluation=10, in_training=3, share=1),
        Family("flip", "flip", flip.EDITS, in_evaluation=4, in_training=4, share=2),
        Family("colorize", "colorize_grayscale", colorize.EDITS, in_evaluation=2, in_training=2, share=1),
    )
}
