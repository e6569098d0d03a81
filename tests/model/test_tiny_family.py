"""The tiny three: equal transformers, the same tokenizers, and all that holds for the large models."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import drawn, pixels_of
from torch import nn

import fuselip
from fuselip.core.errors import UsageError, UserError
from fuselip.model import image_tokenizers, weights
from fuselip.model.checkpoints import load_model, read_config, save_model
from fuselip.model.configs import FuseLIPConfig, config_from_json
from fuselip.model.encoder import FuseLIPEncoder
from fuselip.model.fuselip import FuseLIP
from fuselip.model.image_tokenizers import is_tokenizer_shipped, load_tokenizer, shipped_tensors
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.models import MODELS
from fuselip.model.random_init import random_model
from fuselip.model.sizes import TITOKS, TOWERS, TRANSFORMERS
from fuselip.model.toklip_config import TokLIPConfig

TINY = ("fuselip-ti", "siglip-ti-sf", "siglip-ti-mlf")
# Transformer blocks alone, and everything that is trained (so without the frozen image tokenizer).
PARAMETERS = {  # name: (blocks, trained)
    "fuselip-ti": (1_237_120, 2_018_323),
    "siglip-ti-sf": (2_474_240, 2_997_762),  # two towers
    "siglip-ti-mlf": (3_711_360, 4_338_402),  # and four blocks that join them
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("name", TINY)
def test_parameters_side_by_side(name: str) -> None:
    model = random_model(MODELS[name].config, 0)[0]
    blocks = sum(count(module) for path, module in model.named_modules() if path.endswith("transformer"))
    assert (blocks, count(model)) == PARAMETERS[name]


def test_equal_depth_and_width() -> None:
    early, towers = TRANSFORMERS["ti"], TOWERS["ViT-Ti-8-64"]
    assert towers.image == towers.text == early
    configs = [MODELS[name].config for name in TINY]
    assert {(c.image_side, c.text_tokenizer, c.num_text_tokens, c.context_length) for c in configs} == {
        (64, "bytes", 2560, 128)
    }


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("toklip")])
def test_what_every_configuration_has(name: str) -> None:
    config = MODELS[name].config
    assert not isinstance(config, TokLIPConfig)
    assert config.pad_id == 0
    assert (config.sot_id, config.eot_id) == (config.num_text_tokens - 2, config.num_text_tokens - 1)
    assert config.mask_id == config.num_text_tokens
    assert config.vocab_size == config.image_offset + config.num_codes
    assert config.num_image_tokens <= config.context_length - 2
    assert config_from_json(config.to_json()) == config
    if isinstance(config, FuseLIPConfig):
        assert config.image_offset == config.mask_id + 1
        assert (config.image_side == 256) is (config.image_tokenizer in TITOKS)


@pytest.mark.parametrize("name", TINY)
def test_encodes_everything(name: str) -> None:
    encoder = fuselip.load(name, weights="random")
    picture = drawn("rings")
    inputs = ["a red ring", picture, (picture, "rotate 30 degrees clockwise"), (drawn("plaid"), "")]
    vectors = encoder.encode(inputs)
    assert vectors.shape == (4, 160)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = np.concatenate([encoder.encode([each]) for each in inputs])
    np.testing.assert_allclose(vectors, alone, atol=2e-5)
    assert encoder.prepare([picture]).pixels.shape == (1, 64, 64, 3)
    assert encoder.info.settings["preprocessing"].startswith("squash-bicubic-64-rgb")
    assert "RANDOM" in encoder.info.weights.note


def test_sequences() -> None:
    encoder = fuselip.load("fuselip-ti", weights="random")
    assert isinstance(encoder, FuseLIPEncoder)
    config = encoder.model.config
    ids = encoder.sequence((drawn("rings"), "a red ring"))
    codes = encoder.model.image_codes(
        torch.from_numpy(np.array(encoder.prepare([drawn("rings")]).pixels)).permute(0, 3, 1, 2) / 255
    )
    assert codes.dtype == torch.int64
    assert ids[:64] == (codes[0] + config.image_offset).tolist()
    assert ids[64:] == encoder.tokenize_text("a red ring")
    long = encoder.sequence((drawn("rings"), "red " * 200))
    assert len(long) == config.context_length
    assert long[-1] == config.eot_id


@pytest.mark.parametrize("name", TINY)
def test_a_checkpoint_comes_back(name: str, tmp_path: Path) -> None:
    model = random_model(MODELS[name].config, 3)[0]
    save_model(model, tmp_path)
    config = read_config(tmp_path)
    assert config == MODELS[name].config
    back = load_model(config, tmp_path / "model.safetensors").state_dict()
    assert all(torch.equal(value, back[key]) for key, value in model.state_dict().items())
    assert fuselip.load(name, weights=str(tmp_path)).info.weights.source == "local"
    with pytest.raises(UserError, match="another model"):
        fuselip.load("fuselip-s", weights=str(tmp_path))


def test_wrong_image_side_is_refused() -> None:
    value = MODELS["fuselip-ti"].config.to_json()
    with pytest.raises(UserError, match="image_side"):
        config_from_json(value | {"image_side": 256})
    with pytest.raises(UserError, match="text_tokenizer"):
        config_from_json(value | {"text_tokenizer": "words"})


def test_bundled_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package holds is taken first, and said to be; where it holds none, that is said."""
    monkeypatch.setattr(image_tokenizers, "DATA", tmp_path)
    with pytest.raises(UsageError, match="no trained weights of siglip-ti-sf"):
        fuselip.load("siglip-ti-sf", weights="bundled")
    assert fuselip.load("siglip-ti-sf", offline=True).info.weights.is_random
    model, _ = random_model(MODELS["siglip-ti-sf"].config, 5)
    save_model(model, tmp_path / "made")
    (tmp_path / "made" / "model.safetensors").rename(tmp_path / "siglip-ti-sf.safetensors")
    for asked in ("auto", "bundled"):
        record = fuselip.load("siglip-ti-sf", weights=asked).info.weights
        assert (record.source, record.location) == ("bundled", "siglip-ti-sf.safetensors")
        assert len(record.sha256 or "") == 64
    assert "siglip-ti-sf --weights bundled" in weights.trained_at_hand()


@pytest.mark.parametrize("name", [name for name in MODELS if image_tokenizers.bundled_file(name)])
def test_shipped_weights_are_those_of_their_card(name: str) -> None:
    record = fuselip.load(name, device="cpu", offline=True).info.weights
    assert record.source == "bundled"
    assert f"`{record.sha256}`" in (image_tokenizers.DATA / f"{name}.md").read_text("utf-8")


def test_all_weights_are_light_and_belong_to_the_package() -> None:
    """What a wheel leaves out would be missed on other machines alone."""
    root = Path(__file__).parents[2]
    globs = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    for path in image_tokenizers.DATA.iterdir():
        assert any(fnmatch(f"data/{path.name}", glob) for glob in globs["fuselip.model"]), path
    assert sum(path.stat().st_size for path in image_tokenizers.DATA.glob("*.safetensors")) < 40e6


def test_models_start_from_the_shipped_tokenizer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = MODELS["fuselip-ti"].config
    model, digest = random_model(config, 0)
    assert isinstance(model, FuseLIP)
    state = model.state_dict()
    shipped = shipped_tensors(config)
    assert shipped
    assert set(shipped) == {key for key in state if key.startswith("image_tokenizer.")}
    assert all(torch.equal(state[key], value) for key, value in shipped.items())
    assert not any(parameter.requires_grad for parameter in model.tokenizer.parameters())
    pixels = pixels_of(drawn("rings"))
    small = torch.nn.functional.interpolate(pixels, (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
    tokenizer = load_tokenizer("grid64")
    assert torch.equal(model.image_codes(small), tokenizer.encoder.encode_ids(small))
    monkeypatch.setattr(image_tokenizers, "DATA", tmp_path)
    other, other_digest = random_model(config, 0)
    assert digest != other_digest
    assert torch.equal(other.state_dict()["token_embedding.weight"], state["token_embedding.weight"])


def test_published_models_have_no_shipped_tokenizer() -> None:
    assert not is_tokenizer_shipped(MODELS["fuselip-s"].config)
    assert shipped_tensors(LateFusionConfig("ViT-Ti-8-64", "add")) == {}


def test_initial_scales() -> None:
    state = random_model(MODELS["fuselip-ti"].config, 0)[0].state_dict()
    assert state["token_embedding.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    assert state["positional_embedding"].std().item() == pytest.approx(0.01, rel=0.02)
    wanted = 160**-0.5 * 8**-0.5  # width 160, four layers
    assert state["transformer.resblocks.1.mlp.c_proj.weight"].std().item() == pytest.approx(wanted, rel=0.02)
