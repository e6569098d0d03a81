"""Image and caption: the plain contrastive pair, a group of one pair each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from datagen.sources.types import SourceItem
from datagen.types import Skip
from fuselip.core import images
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, ImageRef, Input, Operation, Pair, Scalar, content_hash


class Captions:
    """Left the image, right one of its captions; `per_image` of them drawn without repetition (0: all).

    An image whose longer side exceeds `max_side` pixels is scaled down to it (0: kept as it is).
    """

    name = "captions"
    version = 1

    def __init__(self, per_image: int = 1, max_side: int = 0) -> None:
        if per_image < 0 or max_side < 0:
            raise UsageError("per_image and max_side are 0 or more")
        self.per_image = per_image
        self.max_side = max_side
        self.params: Mapping[str, Scalar] = {"per_image": per_image, "max_side": max_side}

    def generate(self, item: SourceItem, rng: np.random.Generator) -> Iterator[Group | Skip]:
        if not item.captions:
            yield Skip("no_caption")
            return
        count = min(self.per_image or len(item.captions), len(item.captions))
        image = self._scaled(item.image)
        for index in rng.permutation(len(item.captions))[:count]:
            caption = item.captions[index]
            key = content_hash([self.name, self.version, image.key, caption])
            yield Group(
                key,
                (Pair(Input(image=image), Input(caption)),),
                self.name,
                self.version,
                {"caption": int(index)},
                item.key,
            )

    def _scaled(self, image: ImageRef) -> ImageRef:
        """Sizes come from the header where no operation has changed them yet."""
        if not self.max_side:
            return image
        width, height = images.realise(image).size if image.operations else images.measure(image)
        scale = self.max_side / max(width, height)
        if scale >= 1:
            return image
        width, height = max(round(width * scale), 1), max(round(height * scale), 1)
        return image.then(Operation.of("resize", 1, width=width, height=height))
