"""Late fusion outside the encoder: two towers that embed images and texts alone, and the policy that joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from fuselip.core.encoder import EncoderInfo, Limits, Role, info_of, limits_of
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import ImageRef, Input, content_hash

PolicyName = Literal["normalised-sum", "raw-sum", "weighted"]
POLICIES = ("normalised-sum", "raw-sum", "weighted")


@runtime_checkable
class TwoTower(Protocol):
    """Embeds images and texts apart, into one space. Optional: `info`, `limits`, and `prepare_images(images)`, which
    decodes in another thread and returns what `encode_images` takes in place of the list.
    """

    def encode_images(self, images: Sequence[ImageRef]) -> np.ndarray:
        """float32 [N, D], as the tower gives them: not normalised."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, D], as the tower gives them: not normalised."""
        ...


@dataclass(frozen=True)
class FusionPolicy:
    """How an image's and a text's vector become one. An Input of one modality keeps that tower's vector.

    normalised-sum: both to unit length, then added. raw-sum: added as they are. weighted: unit vectors, the image's
    times `image_weight`, the text's times 1 - `image_weight`. The result is always brought to unit length.
    `image_mean` and `text_mean` [D] are subtracted from the unit vectors first (the modality gap centred, which is a
    translation of each modality and so applies to single inputs too); `centre` says where they come from.
    """

    name: PolicyName = "normalised-sum"
    image_weight: float = 0.5
    centre: str = ""
    image_mean: np.ndarray | None = None
    text_mean: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.name not in POLICIES:
            raise UsageError(
                f"there is no fusion {self.name!r}{did_you_mean(self.name, POLICIES)} (known: {', '.join(POLICIES)})"
            )
        if not 0 <= self.image_weight <= 1:
            raise UsageError(f"image_weight is a number from 0 to 1, not {self.image_weight}")
        if self.centre and self.name == "raw-sum":
            raise UsageError("centring is of unit vectors; raw-sum has none. Choose normalised-sum or weighted")

    @property
    def label(self) -> str:
        """As recorded in every result: "late: weighted 0.30, centred on ..."."""
        weight = f" {self.image_weight:.2f}" if self.name == "weighted" else ""
        return f"late: {self.name}{weight}" + (f", centred on {self.centre}" if self.centre else "")

    def part(self, vectors: np.ndarray, modality: Literal["image", "text"]) -> np.ndarray:
        """float32 [N, D]: a tower's vectors as they enter the sum (and, normalised, as they stand alone)."""
        if self.name == "raw-sum":
            return np.asarray(vectors, np.float32)
        units = _unit(vectors)
        mean = self.image_mean if modality == "image" else self.text_mean
        return units if mean is None else units - mean

    def join(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """float32 [N, D], from `part`s [N, D] of both."""
        share = 2 * self.image_weight if self.name == "weighted" else 1.0
        return share * images + (2 - share) * texts


class Fused:
    """Two towers and a policy as an Encoder: each distinct image and text of a batch is encoded once."""

    def __init__(self, towers: TwoTower, policy: FusionPolicy | None = None) -> None:
        self.towers, self.policy = towers, policy or FusionPolicy()
        self.limits: Limits = limits_of(towers)
        self.info: EncoderInfo = _info(info_of(towers), self.policy)

    def prepare_images(self, images: Sequence[ImageRef]) -> Any:
        make = getattr(self.towers, "prepare_images", None)
        return make(images) if make else images

    def encode_images(self, images: Any) -> np.ndarray:
        return self.towers.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.towers.encode_texts(texts)

    def join(self, images: np.ndarray, texts: np.ndarray, has_image: np.ndarray, has_text: np.ndarray) -> np.ndarray:
        """float32 [N, D], unit rows, from the towers' outputs [N, D] of what each input has (bool [N])."""
        left, right = self.policy.part(images, "image"), self.policy.part(texts, "text")
        both = (has_image & has_text)[:, None]
        alone = np.where(has_image[:, None], left, right)
        return _unit(np.where(both, self.policy.join(left, right), alone))

    def prepare(self, inputs: Sequence[Input]) -> tuple[Sequence[Input], list[ImageRef], Any]:
        """(inputs, their distinct images, what the tower made of those)."""
        refs = list({item.image.key: item.image for item in inputs if item.image is not None}.values())
        return inputs, refs, self.prepare_images(refs) if refs else refs

    def encode(self, inputs: Any, *, role: Role = "query", instruction: str = "") -> np.ndarray:
        """float32 [N, D], unit rows, in order."""
        items, refs, payload = inputs if isinstance(inputs, tuple) and len(inputs) == 3 else self.prepare(inputs)
        texts = list(dict.fromkeys(item.text for item in items if item.text))
        tables = (
            (self.encode_images(payload) if refs else None, {ref.key: row for row, ref in enumerate(refs)}),
            (self.encode_texts(texts) if texts else None, {text: row for row, text in enumerate(texts)}),
        )
        names = [(item.image.key if item.image is not None else None, item.text or None) for item in items]
        sides, present = [], []
        dim = next((table.shape[1] for table, _ in tables if table is not None), self.info.dim or 1)
        for number, (table, rows) in enumerate(tables):
            has = np.array([name[number] is not None for name in names], bool)
            side = np.zeros((len(items), dim), np.float32)
            if table is not None:
                side[has] = np.asarray(table)[[rows[name[number]] for name in names if name[number] is not None]]
            sides.append(side)
            present.append(has)
        return self.join(sides[0], sides[1], present[0], present[1])


def _info(towers: EncoderInfo, policy: FusionPolicy) -> EncoderInfo:
    means = [None if mean is None else mean.tolist() for mean in (policy.image_mean, policy.text_mean)]
    fingerprint = towers.fingerprint and content_hash([towers.fingerprint, policy.label, policy.image_weight, means])
    return replace(towers, fusion=policy.label, roles="ignored", fingerprint=fingerprint)


def _unit(vectors: np.ndarray) -> np.ndarray:
    array = np.asarray(vectors, np.float32)
    return array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12)
