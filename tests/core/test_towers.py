"""Late fusion by parts: the same vectors as by whole inputs, and every image and text encoded once."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import evaluate
from benchmarks.encoders import adapt
from fuselip.core.embed import Item, embed
from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.errors import UsageError
from fuselip.core.fusion import Fused, FusionPolicy
from fuselip.core.store import EmbeddingStore
from fuselip.core.towers import JoinedEmbeddings, Separable, TowerParts, parts
from fuselip.core.types import ImageRef, Input
from tests.benchmarks.pictures import draw


class Towers:
    """Two real, small towers: mean colours by quadrant, and hashed letters. Counts what it is asked."""

    limits = Limits(images=2, inputs=3)

    def __init__(self) -> None:
        self.info = EncoderInfo("towers", dim=12)
        self.asked: Counter[str] = Counter()

    def encode_images(self, images: Sequence[ImageRef]) -> np.ndarray:
        self.asked.update(image.key for image in images)
        return np.stack([np.asarray(ref.load().resize((2, 2)), np.float32).ravel() / 20 + 0.1 for ref in images])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.update(texts)
        rows = np.full((len(texts), 12), 0.1, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text:
                row[zlib.crc32(letter.encode()) % 12] += 1
        return rows


def mixed() -> list[Input]:
    images = [ImageRef.from_pil(Image.new("RGB", (8, 8), colour)) for colour in ("red", "green", "blue")]
    texts = ["a cat", "a dog", "turn it"]
    both = [Input(text, image) for image in images for text in texts]
    return [*both, *(Input(image=image) for image in images), *map(Input, texts)]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


POLICIES = [
    FusionPolicy(),
    FusionPolicy("raw-sum"),
    FusionPolicy("weighted", 0.3),
    FusionPolicy(centre="here", image_mean=np.full(12, 0.1, np.float32), text_mean=np.full(12, 0.2, np.float32)),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.label)
def test_parts_give_what_whole_inputs_give(policy: FusionPolicy, tmp_path: Path) -> None:
    items = [Item(value) for value in mixed()]
    whole = Fused(Towers(), policy).encode([item.input for item in items])
    encoder = Fused(Towers(), policy)
    assert isinstance(encoder, Separable)
    with EmbeddingStore(tmp_path, {}) as store:
        found = JoinedEmbeddings.of(embed(adapt(TowerParts(encoder)), parts(items), store), encoder)
        np.testing.assert_allclose(found.stack(items), whole, atol=1e-6)
    assert set(encoder.towers.asked.values()) == {1}  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)


def test_policies_by_hand() -> None:
    towers = Towers()
    [item] = [value for value in mixed() if value.modality == "image+text"][:1]
    assert item.image is not None
    [image], [text] = towers.encode_images([item.image]), towers.encode_texts([item.text])
    wanted = {
        "normalised-sum": unit(image) + unit(text),
        "raw-sum": image + text,
        "weighted": 0.3 * unit(image) + 0.7 * unit(text),
    }
    for name, vector in wanted.items():
        policy = FusionPolicy(name, 0.3 if name == "weighted" else 0.5)  # type: ignore[arg-type]
        np.testing.assert_allclose(Fused(Towers(), policy).encode([item])[0], unit(vector), atol=1e-6)


def test_a_run_encodes_each_part_once(tmp_path: Path) -> None:
    towers = Towers()
    evaluate(Fused(towers), tasks=["tgit/*"], source=f"folder:{draw(tmp_path / 'pictures', 2)}", cache=False)
    assert set(towers.asked.values()) == {1}
    assert towers.asked["horizontal flip"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "sum"}, "there is no fusion"),
        ({"name": "weighted", "image_weight": 1.5}, "from 0 to 1"),
        ({"name": "raw-sum", "centre": "bundled"}, "centring is of unit vectors"),
    ],
)
def test_bad_policies_say_so(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FusionPolicy(**arguments)  # type: ignore[arg-type]
