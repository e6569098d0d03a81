"""Late fusion embedded by parts: every distinct image and text of a run goes through its tower once, and joins after.

A text that stands with a thousand images is otherwise encoded in each of their batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fuselip.core.embed import Embeddings, Item
from fuselip.core.encoder import EncoderInfo, Limits, info_of, limits_of
from fuselip.core.types import ImageRef, Input, content_hash


@runtime_checkable
class Separable(Protocol):
    """An encoder whose images and texts are embedded apart: a TwoTower that also says how it joins them."""

    def prepare_images(self, images: Sequence[ImageRef]) -> Any: ...

    def encode_images(self, images: Any) -> np.ndarray: ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray: ...

    def join(self, images: np.ndarray, texts: np.ndarray, has_image: np.ndarray, has_text: np.ndarray) -> np.ndarray:
        """float32 [N, D] from the towers' outputs [N, D]; rows of what an input lacks are zero. bool [N] say which."""
        ...


class TowerParts:
    """The towers of a Separable as an Encoder of Inputs of one modality; its vectors are the towers' own outputs."""

    def __init__(self, encoder: Separable) -> None:
        self._encoder = encoder
        self.limits: Limits = limits_of(encoder)
        info = info_of(encoder)
        own = info.fingerprint and content_hash([info.fingerprint, "tower outputs"])
        self.info: EncoderInfo = replace(info, roles="ignored", instructions="ignored", fingerprint=own)

    def prepare(self, inputs: Sequence[Input]) -> tuple[list[bool], Any, list[str]]:
        """(which are images, what the tower made of those, the texts)."""
        images = [item.image for item in inputs if item.image is not None]
        payload = self._encoder.prepare_images(images) if images else None
        return [item.image is not None for item in inputs], payload, [item.text for item in inputs if item.text]

    def encode(self, inputs: Any) -> np.ndarray:
        """float32 [N, D], in order."""
        are_images, payload, texts = inputs if isinstance(inputs, tuple) else self.prepare(inputs)
        images_MD = iter(self._encoder.encode_images(payload) if payload is not None else ())
        texts_KD = iter(self._encoder.encode_texts(texts) if texts else ())
        return np.stack([next(images_MD if is_image else texts_KD) for is_image in are_images])


def parts(items: Sequence[Item]) -> list[Item]:
    """The images and texts of the items, each as an Item of its own."""
    found = [part for item in items for part in _parts(item) if part is not None]
    return list({part.key: part for part in found}.values())


def _parts(item: Item) -> tuple[Item | None, Item | None]:
    image, text = item.input.image, item.input.text
    return (
        None if image is None else Item(Input(image=image)),
        Item(Input(text=text)) if text else None,
    )


@dataclass
class JoinedEmbeddings(Embeddings):
    """Embeddings of parts, looked up as if of whole items. `join` is that of the encoder."""

    join: Callable[..., np.ndarray] = field(default=lambda *_: np.zeros((0, 1)), repr=False)

    @classmethod
    def of(cls, found: Embeddings, encoder: Separable) -> JoinedEmbeddings:
        return cls(**vars(found), join=encoder.join)

    def keys(self, item: Item) -> list[str]:
        return [part.key for part in _parts(item) if part is not None]

    def stack(self, items: Sequence[Item]) -> np.ndarray:
        """float32 [N, D]."""
        sides = [np.zeros((len(items), self.dim), np.float32) for _ in range(2)]
        present = [np.zeros(len(items), bool) for _ in range(2)]
        for row, item in enumerate(items):
            for side, there, part in zip(sides, present, _parts(item), strict=True):
                if part is not None:
                    side[row] = self.rows[part.key]
                    there[row] = True
        return np.asarray(self.join(*sides, *present), np.float32) if items else sides[0]
