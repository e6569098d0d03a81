"""Image and question, with the answer: one pair a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from datagen.sources.types import SourceItem
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, Input, Pair, Scalar, content_hash


class Vqa:
    """Left the image with one of its questions, right the answer; `per_image` drawn without repetition (0: all).

    The questions are the source's own, or those that `datagen.vqa.source.Questions` adds to it from a file.
    """

    name = "vqa"
    version = 1

    def __init__(self, per_image: int = 0) -> None:
        if per_image < 0:
            raise UsageError("per_image is 0 or more")
        self.per_image = per_image
        self.params: Mapping[str, Scalar] = {"per_image": per_image}

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]:
        if not item.questions:
            yield Skip("no_question")
            return
        count = min(self.per_image or len(item.questions), len(item.questions))
        chosen = range(count) if not self.per_image else rng.permutation(len(item.questions))[:count]
        for index in chosen:
            asked = item.questions[int(index)]
            question, answer = asked.question.strip(), asked.answer.strip()
            if not question or not answer:
                yield Skip("empty_question" if answer else "empty_answer", f"question {index}")
                continue
            key = content_hash([self.name, self.version, item.image.key, question, answer])
            pair = Pair(Input(question, item.image), Input(answer))
            yield Group(key, (pair,), self.name, self.version, {"question": int(index), "kind": asked.kind}, item.key)
