"""Vision-language models as encoders, in miniature: Qwen2-VL (our processor) and LLaVA (its own)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from PIL import Image

from benchmarks.encoders import resolve
from benchmarks.testing import check
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["qwen", "llava"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    build: Callable[[Path], Path] = getattr(tiny_models, request.param)
    return build(tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def pair() -> Input:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    return Input("what is it", ImageRef.from_pil(Image.fromarray(pixels)))


def model(folder: Path, **arguments: str) -> Any:
    return resolve(f"vlm:{folder}", arguments, device="cpu", offline=True)


def test_contract(folder: Path) -> None:
    for preset in ("plain", "qwen"):
        findings = check(model(folder, preset=preset))
        assert not [str(finding) for finding in findings if finding.status == "fail"]


def test_equal_to_a_direct_call(folder: Path, pair: Input) -> None:
    """One input at a time, the ids of the image written out by hand: no padding, no processor of ours."""
    import torch
    import transformers as tf

    found = tf.AutoModelForImageTextToText.from_pretrained(folder).eval()
    words = tf.AutoTokenizer.from_pretrained(folder)
    images = tf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    assert pair.image is not None
    made = dict(images(images=[pair.image.load()], return_tensors="pt"))
    if folder.name.startswith("qwen"):
        count = int(made["image_grid_thw"][0].prod()) // 4
        text = f"<|vision_start|>{'<|image_pad|>' * count}<|vision_end|> look closer what is it"
        token = "<|image_pad|>"
    else:
        text, token = f"{'<image>' * 16} look closer what is it", "<image>"
    ids = words(text, return_tensors="pt")
    if folder.name.startswith("qwen"):
        made["mm_token_type_ids"] = (ids["input_ids"] == words.convert_tokens_to_ids(token)).int()
    with torch.no_grad():
        out = found(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"], **made, output_hidden_states=True)
        alone = found(**{**words("look closer what is it", return_tensors="pt")}, output_hidden_states=True)
    expected = np.stack([each.hidden_states[-1][0, -1].numpy() for each in (out, alone)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    got = model(folder).encode([pair, Input("what is it")], instruction="look closer")
    assert np.abs(got - expected).max() < 1e-5


def test_prompts(folder: Path, pair: Input) -> None:
    image = "<|vision_start|><|image_pad|><|vision_end|>" if folder.name.startswith("qwen") else "<image>"
    qwen, gme, vlm2vec = (model(folder, preset=name).encoder for name in ("qwen", "gme", "vlm2vec"))
    assert qwen.prompt(pair, "") == (
        "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n"
        f"{image}what is it<|im_end|>\n<|im_start|>assistant\n"
    )
    assert gme.prompt(Input("cat"), "Find it.") == (
        "<|im_start|>system\nFind it.<|im_end|>\n<|im_start|>user\ncat<|im_end|>\n<|im_start|>assistant\n<|endoftext|>"
    )
    assert vlm2vec.prompt(pair, "") == f"{image} Represent the given image with the following question: what is it"
    assert vlm2vec.prompt(Input("cat"), "") == "cat"
    assert vlm2vec.prompt(Input("{image}{text}"), "{text}") == "{text} {image}{text}"


def test_a_text_can_neither_announce_an_image_nor_grow_without_end(folder: Path) -> None:
    encoder = model(folder, max_text_tokens="8")
    token = encoder.encoder.processor.image_token
    assert token not in encoder.encoder.prompt(Input(f"a {token} b"), token)
    assert np.isfinite(encoder.encode([Input(f"{token} {token}")], instruction=token)).all()
    long, longer = (encoder.encode([Input("word " * count)]) for count in (500, 900))
    assert np.array_equal(long, longer)


def test_last_positions() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.encoders.hf_last_token import last_positions

    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    assert last_positions(mask).tolist() == [1, 3, 3]


def test_other_models_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match="is a clip model"):
        model(tiny_models.towers("clip", tmp_path / "clip"))
