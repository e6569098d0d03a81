"""TokLIP as an encoder: declared fusion, both ways of making pictures square, its text tokenizers, the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from golden_cases import drawn
from PIL import Image
from tokenizers import Tokenizer, models
from toklip_tiny import registered

import fuselip
from fuselip.core.errors import UsageError, UserError
from fuselip.core.fusion import Fused, FusionPolicy, TwoTower
from fuselip.core.towers import Separable
from fuselip.core.types import ImageRef, Input
from fuselip.model.encoder import FuseLIPEncoder
from fuselip.model.gemma_tokenizer import clean, of_folder
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.model.toklip_encoder import TokLIPEncoder, load
from fuselip.model.toklip_pixels import square
from fuselip.model.toklip_text import Missing, text_of


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def encoder() -> TokLIPEncoder:
    return load("toklip-tiny", weights="random", device="cpu")


def test_fusion_is_the_declared_one(encoder: TokLIPEncoder) -> None:
    values = ["a cat", drawn("rings"), (drawn("rings"), "flip"), (drawn("plaid"), "a cat"), "!!!"]
    inputs = [Input.of(value) for value in values]
    for policy in (FusionPolicy(), FusionPolicy("raw-sum"), FusionPolicy("weighted", 0.3)):
        mine = load("toklip-tiny", weights="random", device="cpu", fusion=policy.name, image_weight=policy.image_weight)
        assert mine.info.fusion == policy.label
        found = mine.encode(values)
        np.testing.assert_allclose(found, Fused(encoder, policy).encode(inputs), atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    prints = {load("toklip-tiny", weights="random", device="cpu", image_weight=w).info.fingerprint for w in (0.3, 0.31)}
    assert len(prints) == 2
    assert isinstance(encoder, TwoTower)
    assert isinstance(encoder, Separable)


def test_batches_change_nothing(encoder: TokLIPEncoder) -> None:
    values: list[Any] = [*(f"text {number}" for number in range(5)), drawn("rings"), (drawn("plaid"), "flip")] * 2
    alone = np.concatenate([encoder.encode([value]) for value in values])
    np.testing.assert_allclose(encoder.encode(values), alone, atol=1e-5)
    assert encoder.encode([]).shape == (0, 32)


def test_squares(encoder: TokLIPEncoder) -> None:
    picture = Image.new("RGB", (32, 16), "red")
    picture.paste("blue", (8, 0, 24, 16))  # the middle half
    ref = ImageRef.from_pil(picture)
    cropped, squashed = (square(ref, 8, resize) for resize in ("crop", "squash"))
    assert cropped.shape == squashed.shape == (8, 8, 3)
    assert (cropped[:, 2:6] == np.array([0, 0, 255])).all()  # bicubic mixes a little of what was cut off into the rim
    assert cropped[:, :, 0].max() < 40
    assert squashed[0, 0, 0] > 200
    tall = square(ImageRef.from_pil(picture.rotate(90, expand=True)), 8, "crop")
    np.testing.assert_allclose(tall, cropped.transpose(1, 0, 2), atol=1)
    strip = square(ImageRef.from_pil(Image.new("L", (5000, 1), 7)), 8, "crop")
    assert (strip == 7).all()
    assert encoder.info.settings["resize"] == "crop"
    other = load("toklip-tiny", weights="random", device="cpu", resize="squash")
    assert other.info.settings["resize"] == "squash"
    assert other.info.fingerprint != encoder.info.fingerprint
    np.testing.assert_array_equal(other.prepare([picture]).pixels[0], squashed)
    np.testing.assert_array_equal(encoder.prepare([picture]).pixels[0], cropped)


def test_the_tiny_model_has_the_package_tokenizer_and_runs_offline() -> None:
    found = fuselip.load("toklip-ti", weights="random", device="cpu", offline=True)
    ours = fuselip.load("fuselip-ti", weights="random", device="cpu", offline=True)
    assert isinstance(found, TokLIPEncoder)
    assert isinstance(ours, FuseLIPEncoder)
    picture = drawn("rings")
    pixels = next(found._passes(found.prepare([picture]).pixels))
    codes = found.model.visual.trunk.vq.encode_ids(pixels)[0]
    np.testing.assert_array_equal(
        codes.numpy() + ours.model.config.image_offset,
        ours.tokenize_image(picture),
    )
    vectors = found.encode(["a cat", "a dog", picture, (picture, "a cat")])
    assert vectors.shape == (4, 160)
    assert np.abs(vectors @ vectors.T - np.eye(4)).max() < 0.9999  # different inputs, different vectors


def test_other_models_are_refused() -> None:
    with pytest.raises(UsageError, match="no TokLIP"):
        load("fuselip-ti")


def gemma(folder: Path, **settings: Any) -> Path:
    """Files of a text tokenizer of words."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "red", "cat", "two", "words"]
    folder.mkdir(exist_ok=True)
    model = models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    from tokenizers import pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_gemma_files(tmp_path: Path) -> None:
    siglip = {"add_bos_token": False, "add_eos_token": True, "padding_side": "right"}
    ours = of_folder(gemma(tmp_path / "one", **siglip), 256000)
    assert ours.encode("A red cat!", 6) == [4, 5, 6, 1, 0, 0]
    assert ours.encode("a red cat two words", 4) == [4, 5, 6, 1]
    assert ours.encode("", 3) == [1, 0, 0]
    usual = of_folder(gemma(tmp_path / "two"), 256000)
    assert usual.encode("a red", 5) == [0, 0, 2, 4, 5]
    assert usual.version != ours.version
    with pytest.raises(UserError, match="has 9 ids, and the model 8"):
        of_folder(tmp_path / "one", 8)
    with pytest.raises(UserError, match="add_eos_token is 'yes'"):
        of_folder(gemma(tmp_path / "three", add_eos_token="yes"), 256000)
    (tmp_path / "two" / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="no tokenizer that we read"):
        of_folder(tmp_path / "two", 256001)
    with pytest.raises(UserError, match=r"tokenizer\.json is missing"):
        of_folder(tmp_path / "none", 256000)


def test_where_the_text_tokenizer_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuselip.model.hub.cached_file", lambda repo, name: None)
    config = TokLIPConfig("s")
    missing = text_of(config, offline=True)
    assert isinstance(missing, Missing)
    with pytest.raises(UserError, match=r"timm/ViT-SO400M-16-SigLIP2-256 .* tokenizer=FOLDER"):
        missing.encode("a cat", 64)
    beside = text_of(config, weights=gemma(tmp_path / "beside"), offline=True)
    assert len(beside.encode("a cat", 64)) == 64
    named = text_of(config, str(gemma(tmp_path / "named", add_eos_token=True)), tmp_path / "beside", offline=True)
    assert named.version != beside.version


def test_cleaning() -> None:
    assert clean("  A_red   CAT, &amp;amp; it's  Ünder\n") == "a red cat its ünder"


@pytest.mark.slow
def test_the_command() -> None:
    from fuselip.commands.info import info

    found = json.loads(CliRunner().invoke(info, ["toklip-s", "--json"]).stdout)
    assert found["keys"] == 1020
    assert found["parameters"]["total"] == 1212085053
    assert sum(found["parameters"][part] for part in ("visual", "text")) + 2 == found["parameters"]["total"]
    plain = CliRunner().invoke(info, ["toklip-ti"]).stdout
    assert "parameters visual:" in plain
