"""A task of one's own: a painted picture, and the words that say which colour lies where. Nothing to download."""

from __future__ import annotations

from itertools import permutations

from PIL import Image

from benchmarks.types import Candidate, Query, TaskContext, TaskData, TaskSpec
from colour_words import COLOURS
from fuselip.core.types import ImageRef, Input

NAMES = ("red", "yellow", "green", "blue", "black", "white")

ROWS = (
    TaskSpec(
        name="colour-words/painted",
        version=1,  # raised whenever a change moves a score
        loader="colour_words.painted:load",
        description="two colours, one above the other: which of the six times five captions says so?",
        modalities="image -> text",
        source="painted here",
        licence="MIT",
        counts={"queries": 30, "candidates": 30},
    ),
)


def load(spec: TaskSpec, context: TaskContext) -> TaskData:
    """All pairs of different colours; each picture ranks all captions."""
    pairs = list(permutations(NAMES, 2))[: context.limit]
    candidates = {
        f"{above} over {below}": Candidate(f"{above} over {below}", (Input(f"{above} above {below}"),))
        for above, below in pairs
    }
    queries = tuple(
        Query(
            key=f"picture of {above} over {below}",
            input=Input(image=ImageRef.from_pil(painted(above, below))),
            relevance={f"{above} over {below}": 1.0},
            cluster=f"{above} and {below}",
            tags={"above": above},
        )
        for above, below in pairs
    )
    return TaskData(queries, candidates)


def painted(above: str, below: str) -> Image.Image:
    image = Image.new("RGB", (64, 64), COLOURS[below])
    image.paste(COLOURS[above], (0, 0, 64, 32))
    return image
