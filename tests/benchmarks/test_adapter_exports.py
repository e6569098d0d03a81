"""Our encoders as sentence-transformers models, and open_clip's absence in words."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.encoders import resolve
from fuselip.core import seeds
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input


class Seen:
    """An encoder that keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Input], str, str]] = []

    def encode(self, inputs: Iterable[Input], *, role: str = "query", instruction: str = "") -> np.ndarray:
        items = list(inputs)
        self.calls.append((items, role, instruction))
        return np.stack([seeds.generator(item.key).standard_normal(8).astype(np.float32) for item in items])


def model(encoder: Any) -> Any:
    pytest.importorskip("sentence_transformers")
    from benchmarks.export.sentence_transformers_module import sentence_transformer

    return sentence_transformer(encoder)


@pytest.mark.slow
def test_texts_images_and_pairs_mixed() -> None:
    seen = Seen()
    image = Image.new("RGB", (3, 2), "red")
    values = ["a", image, {"text": "b", "image": image}, "http://127.0.0.1:9/x.png", {"text": "c"}]
    ref = ImageRef.from_pil(image)
    inputs = [Input("a"), Input(image=ref), Input("b", ref), Input("http://127.0.0.1:9/x.png"), Input("c")]
    found = model(seen).encode(values)
    assert np.array_equal(found, Seen().encode(inputs))
    one = model(Seen()).encode("a")
    assert np.array_equal(one, found[0])


@pytest.mark.slow
def test_roles_and_instructions() -> None:
    seen = Seen()
    made = model(seen)
    made.encode_query(["a"], prompt="Find it.")
    made.encode_document(["a"])
    assert [call[1:] for call in seen.calls] == [("query", "Find it."), ("candidate", "")]


@pytest.mark.slow
def test_by_name_with_further_modules() -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    from benchmarks.export.sentence_transformers_module import module

    made = SentenceTransformer(modules=[module("random", dim="16", seed="3"), Normalize()], device="cpu")
    expected = resolve("random", {"dim": "16", "seed": "3"}).encode([Input("a"), Input("b")])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(made.encode(["a", "b"]) - expected).max() < 1e-6
    assert made.get_embedding_dimension() == 16
    assert made.similarity(expected, expected).shape == (2, 2)


@pytest.mark.slow
def test_it_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was saved"):
        model(Seen()).save(str(tmp_path / "x"))


def test_other_inputs_are_refused() -> None:
    from benchmarks.export.sentence_transformers_module import as_input

    for value, words in (({"audio": 0}, r"has \['audio'\]"), ({}, r"has \[\]"), (3, "cannot make an input of a int")):
        with pytest.raises(UserError, match=words):
            as_input(value)
    assert as_input({"text": "a", "image": None}) == as_input("a") == Input("a")
    assert as_input("") == as_input({"text": ""}) == Input(" ")


def test_open_clip_without_torchvision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UserError, match="open_clip models need torchvision, which none of our extras brings"):
        resolve("open_clip:ViT-B-32/openai")
    monkeypatch.delitem(sys.modules, "torchvision")
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"does not work with this torch \(operator torchvision::nms"):
        resolve("open_clip:ViT-B-32/openai")
