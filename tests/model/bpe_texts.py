"""The texts that the shipped byte-pair merges were trained on. Run this file to write fuselip/model/data/byte_bpe.json.

What datagen says about scenes and edits, its word lists, and the words of CLIP's own vocabulary by their rank there: a
list of common English words that lies in this package already.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datagen.phrases import BANK
from datagen.recipes.transforms import Transforms
from datagen.scenes.draws import Draws
from datagen.scenes.negatives import negatives
from datagen.sources.scenes import Scenes
from datagen.sources.textures import Textures
from datagen.types import Skip
from datagen.vqa import lexicon
from fuselip.model.byte_bpe import MERGES_FILE, to_file, train_merges
from fuselip.model.text_tokenizer import NUM_MERGES, _read_merges

SCENES, TEXTURES, COMMON_WORDS, WORDS_WEIGHT = 500, 6, 6000, 3000


def texts() -> Iterator[str]:
    yield from _scenes()
    yield from _edits()
    for wordings in BANK.values():
        yield from wordings
    for found in vars(lexicon).values():
        if isinstance(found, frozenset):
            yield from sorted(" ".join(word) if isinstance(word, tuple) else word for word in found)
    words = [second[:-4] for _, second in _words() if second[:-4].isalpha()]
    for rank, word in enumerate(words[:COMMON_WORDS], 1):
        yield from [word] * max(1, WORDS_WEIGHT // rank)


def _words() -> list[tuple[str, str]]:
    """CLIP's merges that end a word, as ("", word</w>)."""
    merges = _read_merges()[:NUM_MERGES]
    return [("", first + second) for first, second in merges if second.endswith("</w>")]


def _scenes() -> Iterator[str]:
    source = Scenes("train", SCENES)
    for index in range(SCENES):
        item = source.item(index)
        yield from item.captions
        yield from (region.phrase for region in item.regions)
        for question in item.questions:
            yield from (question.question, question.answer)
        for edit in item.edits:
            yield from (edit.instruction, edit.inverse, *edit.captions)
        for negative in negatives(source.scene(index), Draws(index)):
            yield from (negative.caption, negative.negative)


def _edits() -> Iterator[str]:
    recipes = [Transforms(families="all", draw="every", phrasing=phrasing, compose=2) for phrasing in ("paper", "bank")]
    for item in Textures(TEXTURES).items():
        for recipe in recipes:
            for group in recipe.generate(item, np.random.default_rng(0)):
                if not isinstance(group, Skip):
                    for pair in group.pairs:
                        yield from (pair.left.text, pair.right.text)


if __name__ == "__main__":
    MERGES_FILE.write_bytes(to_file(train_merges(texts())))
