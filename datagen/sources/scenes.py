"""Scenes as a source: drawn pictures of which everything is known, so that no download is needed."""

from __future__ import annotations

from collections.abc import Iterator

from datagen.scenes.captions import captions
from datagen.scenes.draws import Draws
from datagen.scenes.edits import edits
from datagen.scenes.questions import questions
from datagen.scenes.regions import regions
from datagen.scenes.render import MAX_SIZE, MIN_SIZE
from datagen.scenes.sample import SAMPLING_VERSION, sample_scene
from datagen.scenes.spec import picture
from datagen.scenes.types import Scene
from datagen.scenes.vocabulary import SPLITS
from datagen.sources.types import Rejected, Source, SourceItem
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.core.seeds import derive

DEFAULT_SIZE = 128
MAX_COUNT = 10**9
OPTIONS = ("count", "seed", "size")


class Scenes:
    """`count` scenes of a split with captions, regions, questions and edits. Item i does not depend on `count`.

    The texts are drawn apart from the scene, so that a change of wording never changes a picture.
    """

    def __init__(self, split: str = "train", count: int = 1000, seed: int = 0, size: int = DEFAULT_SIZE) -> None:
        if split not in SPLITS:
            raise UsageError(f"scenes have no split {split!r}{did_you_mean(split, SPLITS)}; known: {', '.join(SPLITS)}")
        if not 1 <= count <= MAX_COUNT:
            raise UsageError(f"scenes: count must be 1 to {MAX_COUNT}, not {count}")
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise UsageError(f"scenes: size must be {MIN_SIZE} to {MAX_SIZE} pixels, not {size}")
        self.split, self.count, self.seed, self.size = split, count, seed, size
        self.name = f"scenes:{split}?count={count}&seed={seed}&size={size}"

    def items(self) -> Iterator[SourceItem | Rejected]:
        return map(self.item, range(self.count))

    def scene(self, index: int) -> Scene:
        return sample_scene(derive("scenes source", self.seed, index), self.split)

    def item(self, index: int) -> SourceItem:
        """Item number `index`, without making those before it."""
        scene = self.scene(index)
        draws = Draws(derive("scene texts", SAMPLING_VERSION, self.split, self.seed, index))
        key = f"scene-{self.split}-{index:09d}"
        return SourceItem(
            key=key,
            image=picture(scene, self.size),
            captions=captions(scene, draws),
            origin=key,
            regions=regions(scene, self.size, draws),
            questions=questions(scene, draws),
            edits=edits(scene, self.size, draws),
        )


def open_scenes(rest: str, data_root: str | None) -> Source:
    """The source of a spec `scenes[:SPLIT][?count=N&seed=N&size=N]`, given without its kind."""
    split, _, texts = rest.partition("?")
    options: dict[str, int] = {}
    for text in filter(None, texts.split("&")):
        name, _, value = text.partition("=")
        if name not in OPTIONS:
            raise UsageError(
                f"scenes have no option {name!r}{did_you_mean(name, OPTIONS)}; known: {', '.join(OPTIONS)}"
            )
        if not value.isdecimal():
            raise UsageError(f"scenes: {name} must be a whole number, not {value!r}")
        options[name] = int(value)
    return Scenes(split or "train", **options)
