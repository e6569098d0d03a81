"""The transforms recipe (TGIT of the FuseLIP paper): image and instruction on the left, the edited image right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from datagen.phrases import JOINS, wordings
from datagen.recipes.transforms_distinct import distinct
from datagen.recipes.transforms_options import Options, resolve
from datagen.recipes.transforms_pools import Pool, composed, single
from datagen.sources.types import SourceItem
from datagen.transforms import resized_crop
from datagen.transforms.base import BASE
from datagen.types import Skip
from fuselip.core import images
from fuselip.core.types import Group, ImageRef, Input, Pair, Scalar, content_hash


class Transforms:
    """Groups of edits of one photo, and plain image-caption pairs. Parameters ("" and -1.0: as the preset has it):

    preset        "paper-cc3m", "paper-cc12m": the paper's training mixture; "none": all five families, no captions
    families      "paper" (five), "beyond" (eight others), "all" (both), or names joined by "+"
    draw          "one": an item gets one family, drawn with the families' weights; "every": each of them
    unimodal      share of the *pairs* that is image and caption: the image alone left, the caption alone right
    phrasing      "paper": the templates; "bank": one of several wordings, drawn
    pools         "paper": the paper's flip and colorize pools, repeats and all; "clean": without repeats
    difficulty    "none": edits drawn evenly; "easy", "medium", "hard": from far apart to near in parameter space
    compose       so many further groups of two-step edits for each item that gets edits
    resized_crop  crop and resize at random first, once an item, but for the crop family (as in training)
    measure       "true": look at the pixels, and leave out pairs that cannot be told apart; "false": do not
    min_distance  what cannot be told apart: a mean absolute difference below this, in gray levels (0 to 255)
    """

    name = "transforms"
    version = 1

    def __init__(
        self,
        preset: str = "none",
        families: str = "",
        draw: str = "",
        unimodal: float = -1.0,
        phrasing: str = "",
        pools: str = "",
        difficulty: str = "none",
        compose: int = 0,
        resized_crop: bool = True,
        measure: str = "",
        min_distance: float = 2.0,
    ) -> None:
        """Raises UsageError for names and values that are not known."""
        self._options = resolve(
            Options(
                preset,
                families,
                draw,
                unimodal,
                phrasing,
                pools,
                difficulty,
                compose,
                resized_crop,
                measure,
                min_distance,
            )
        )
        self.params: Mapping[str, Scalar] = self._options.to_params()

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]:
        """One image-caption pair, or a group for each family drawn.

        Skips: "no_caption", "gray_photo" (nothing to colorize), "indistinct" (fewer than two answers that can be told
        apart). Raises UserError where the image cannot be read, which is no matter of this recipe's.
        """
        options = self._options
        left_alone = rng.random() < options.mixture.prob_identity
        squashed = item.image.then(BASE)
        cropped = item.image.then(resized_crop.draw(size_of(item.image), rng)) if options.resized_crop else squashed
        if left_alone:
            yield self._caption(item, cropped, rng)
            return
        for pool in self._pools(rng):
            yield self._edits(item, squashed if pool.family == "crop" else cropped, pool, rng)

    def _pools(self, rng: np.random.Generator) -> Iterator[Pool]:
        options = self._options
        names = options.names
        if options.draw == "one":
            names = (names[int(rng.choice(len(names), p=[options.mixture.weights[name] for name in names]))],)
        for name in names:
            yield single(name, options.pools, options.difficulty, rng)
        for _ in range(options.compose):
            yield composed(options.names, options.difficulty, rng)

    def _caption(self, item: SourceItem, base: ImageRef, rng: np.random.Generator) -> Group | Skip:
        captions = [caption for caption in item.captions if caption.strip()]
        if not captions:
            return Skip("no_caption", f"{item.key} has no caption for an image-caption pair; or set unimodal=0")
        caption = captions[int(rng.integers(len(captions)))]
        return self._group(item, [Pair(Input(image=base), Input(caption))], {"family": "identity", "texts": "caption"})

    def _edits(self, item: SourceItem, base: ImageRef, pool: Pool, rng: np.random.Generator) -> Group | Skip:
        texts, origins = self._texts(pool, rng)
        pairs = [
            Pair(Input(text, base.then(*edit.left)), Input(image=base.then(*edit.right)))
            for edit, text in zip(pool.edits, texts, strict=True)
        ]
        params: dict[str, Scalar] = {"family": pool.family}
        kept: Sequence[int] = range(len(pairs))
        if self._options.measure == "true":
            found = distinct(pairs, self._options.min_distance)
            kept, params["min_distance"] = found.kept, round(found.least, 2)
            if pool.family == "colorize" and not kept:
                return Skip("gray_photo", f"{item.key}: the photo has no colours to take away")
            if len(kept) < 2:
                return Skip("indistinct", f"{item.key}: fewer than two {pool.family} edits can be told apart")
        params |= {"edits": ",".join(pool.edits[index].key for index in kept)}
        params |= {"texts": ",".join(origins[index] for index in kept), "spread": round(pool.spread, 4)}
        if pool.graded:
            params["difficulty"] = self._options.difficulty
        return self._group(item, [pairs[index] for index in kept], params)

    def _texts(self, pool: Pool, rng: np.random.Generator) -> tuple[list[str], list[str]]:
        """A text for each edit, and where each is from: "paper", or the numbers of the wordings in the bank."""
        if self._options.phrasing == "paper":
            return [edit.text for edit in pool.edits], ["paper"] * len(pool.edits)
        texts: list[str] = []
        origins: list[str] = []
        for parts in pool.parts:
            known = [wordings(family, edit) for family, edit in parts]
            while True:  # in a flip group two edits share all their wordings: draw until the text is new
                numbers = [int(rng.integers(len(words))) for words in known]
                phrases = [words[number] for words, number in zip(known, numbers, strict=True)]
                if len(phrases) == 2:
                    numbers.append(int(rng.integers(len(JOINS))))
                    phrases = [JOINS[numbers[-1]].format(first=phrases[0], second=phrases[1])]
                if phrases[0] not in texts:
                    break
            texts.append(phrases[0])
            origins.append("bank:" + ".".join(map(str, numbers)))
        return texts, origins

    def _group(self, item: SourceItem, pairs: Sequence[Pair], params: Mapping[str, Scalar]) -> Group:
        recipe = [self.name, self.version, item.key, [[pair.left.key, pair.right.key] for pair in pairs]]
        return Group(content_hash(recipe), tuple(pairs), self.name, self.version, params, item.key)


def size_of(ref: ImageRef) -> tuple[int, int]:
    """(width, height) of the image: from the file's header where no operation stands between, else by making it."""
    if not ref.operations:
        return images.measure(ref)
    last = dict(ref.operations[-1].params)
    if ref.operations[-1].name == "box":
        return int(last["right"]) - int(last["left"]), int(last["bottom"]) - int(last["top"])
    if ref.operations[-1].name in ("scene", "texture"):  # they are squares, and dear to make only to be measured
        return int(last["size"]), int(last["size"])
    return images.realise(ref).size
