"""Models of sentence-transformers in miniature: of texts, of images and texts apart, of both as one input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models
from PIL import Image

from benchmarks.encoders import resolve
from benchmarks.testing import check
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

pytestmark = pytest.mark.slow
PROMPTS = {"query": "query: ", "document": "passage: "}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    return tiny_models.bert(tmp_path_factory.mktemp("bert"), PROMPTS)


@pytest.fixture(scope="module")
def image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    return Image.fromarray(pixels)


def failures(spec: str) -> dict[str, str]:
    return {finding.name: finding.seen for finding in check(resolve(spec, device="cpu")) if finding.status == "fail"}


def test_texts_equal_direct_calls_with_the_prompts_of_both_roles(texts: Path) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = resolve(f"st:{texts}", device="cpu", offline=True)
    words = ["a red circle", "http://127.0.0.1:9/picture.png", " "]
    inputs = [Input(text) for text in words]
    model = SentenceTransformer(str(texts), device="cpu")
    assert np.abs(encoder.encode(inputs) - model.encode(words, prompt="query: ")).max() < 1e-5
    assert np.abs(encoder.encode(inputs, role="candidate") - model.encode(words, prompt="passage: ")).max() < 1e-5
    assert encoder.info.roles == "used"
    assert encoder.info.instructions == "ignored"


def test_instructions_where_the_user_says_how(texts: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(texts), device="cpu")
    told = resolve(f"st:{texts}", {"instruction_prompt": "Instruct: {instruction} Query: "}, device="cpu")
    expected = model.encode(["a cat"], prompt="Instruct: find {it} Query: ")
    assert np.abs(told.encode([Input("a cat")], instruction="find {it}") - expected).max() < 1e-5
    assert np.abs(told.encode([Input("a cat")]) - model.encode(["a cat"], prompt="query: ")).max() < 1e-5
    with pytest.raises(UserError, match=r"no \{instruction\}"):
        resolve(f"st:{texts}", {"instruction_prompt": "x"})


def test_a_model_of_texts_says_so(texts: Path, image: Image.Image) -> None:
    assert set(failures(f"st:{texts}")) == {"image alone", "image+text alone"}
    with pytest.raises(UserError, match=r"st:model embeds texts only, and got an input of image\+text; leave tasks"):
        resolve(f"st:{texts}", device="cpu").encode([Input("a"), Input("b", ImageRef.from_pil(image))])


def test_two_towers(tmp_path: Path, image: Image.Image) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    folder = tiny_models.clip_sentences(tmp_path)
    encoder = resolve(f"st:{folder}", {"fusion": "raw-sum"}, device="cpu")
    model = SentenceTransformer(str(folder), device="cpu")
    made = model.encode(["a cat"]) + model.encode([image])
    expected = made / np.linalg.norm(made)
    assert np.abs(encoder.encode([Input("a cat", ImageRef.from_pil(image))]) - expected).max() < 1e-5
    assert encoder.info.fusion == "late: raw-sum"
    # a text that looks like a picture's address is a text, and nothing is fetched or opened
    assert np.isfinite(encoder.encode([Input("http://127.0.0.1:9/picture.png")])).all()
    assert failures(f"st:{folder}") == {}


def test_both_as_one_input(tmp_path: Path, image: Image.Image) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    folder = tiny_models.llava_sentences(tmp_path)
    encoder = resolve(f"st:{folder}", device="cpu")
    model = SentenceTransformer(str(folder), device="cpu")
    ref = ImageRef.from_pil(image)
    direct = [model.encode([value])[0] for value in ("a cat", {"image": image}, {"text": "a cat", "image": image})]
    found = encoder.encode([Input("a cat"), Input(image=ref), Input("a cat", ref)])
    assert np.abs(found - np.stack(direct)).max() < 1e-5
    assert encoder.info.fusion == "early: the model's own"
    assert failures(f"st:{folder}") == {}


def test_a_folder_of_another_library(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(UserError, match=r"holds no modules.json"):
        resolve(f"st:{tiny_models.towers('clip', tmp_path / 'clip')}")
