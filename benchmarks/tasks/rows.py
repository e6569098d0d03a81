"""The rows of the task table: what a task is called, asks, and where it is from. Data only."""

from __future__ import annotations

from benchmarks.types import TaskSpec

PAPER = "FuseLIP, arXiv 2506.03096"

_TGIT = {
    "crop": "which of the nine half-size crops does the instruction ask for?",
    "rotate": "which of 18 rotations, 10 to 90 degrees either way, does the instruction ask for?",
    "jitter": "which of ten changes of brightness, contrast and saturation does the instruction ask for?",
    "flip": "which mirror image does the instruction ask for, there and back?",
    "colorize": "the gray image of the coloured one, and the coloured one of the gray",
}

TGIT = tuple(
    TaskSpec(
        name=f"{variant}/{family}",
        version=1,
        loader=f"benchmarks.tasks.tgit:{loader}",
        description=f"{'[the paper: one question a photo] ' if loader == 'paper' else ''}{question}",
        source="any photos: bundled ones, a folder, a CSV or webdataset tars",
        citation=PAPER,
        licence="as the photos",
        params={"family": family},
    )
    for variant, loader in (("tgit", "clean"), ("tgit-paper", "paper"))
    for family, question in _TGIT.items()
)
