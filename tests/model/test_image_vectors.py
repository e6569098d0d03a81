"""Image tokenizers that a FuseLIP may name: ids, vectors or both, fewer codes, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fuselip
from fuselip.core.errors import UsageError, UserError
from fuselip.model import image_tokenizers
from fuselip.model.bsq import BSQ
from fuselip.model.checkpoints import blank, load_model, read_config, save_model
from fuselip.model.configs import FuseLIPConfig, config_from_json
from fuselip.model.encoder import FuseLIPEncoder
from fuselip.model.fuselip import FuseLIP
from fuselip.model.grid_tokenizer import GridTokenizer
from fuselip.model.image_tokenizers import fill_by_seed, load_tokenizer, save_tokenizer
from fuselip.model.image_variants import ImageFeatures, fewest, image_variants, vector_dim
from fuselip.model.models import MODELS, model_of
from fuselip.model.random_init import random_model
from fuselip.model.sizes import BSQ_GRIDS

SEMANTIC = "grid64-siglip"


def config_of(features: ImageFeatures, tokenizer: str = SEMANTIC) -> FuseLIPConfig:
    found = model_of(f"fuselip-ti+{tokenizer}:{features}").config
    assert isinstance(found, FuseLIPConfig)
    return found


def pixels(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def sequences(model: FuseLIP, codes_BK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of pictures with one word of text."""
    config = model.config
    text = torch.tensor([config.sot_id, 7, config.eot_id]).expand(len(codes_BK), -1)
    ids = torch.cat([codes_BK + config.image_offset, text], dim=1)
    return ids, torch.full((len(ids),), ids.shape[1])


@pytest.mark.parametrize("name", list(image_variants()))
def test_every_tokenizer_may_be_named_and_comes_back(name: str) -> None:
    variant = image_variants()[name]
    features: ImageFeatures = "ids" if variant.num_codes > 1 else "vectors"
    for each in (features, "vectors") if vector_dim(variant) else (features,):
        config = config_of(each, name)
        assert config_from_json(config.to_json()) == config
        assert config.num_image_tokens == variant.num_latents <= config.context_length - 2
        model = blank(config)
        assert model.tokenizer.variant == variant
        assert hasattr(model, "image_projection") == (each == "vectors")
        assert model.token_embedding.weight.shape[0] == config.image_offset + variant.num_codes
        assert not any(parameter.requires_grad for parameter in model.tokenizer.parameters())


def test_plain_models_are_as_they_were() -> None:
    """No key, no parameter and no word in config.json more than before there were vectors."""
    config = MODELS["fuselip-ti"].config
    assert not {"image_features", "image_tokens"} & config.to_json().keys()
    assert "image features" not in config.architecture
    assert not any("projection" in key for key in blank(config).state_dict())


@pytest.mark.parametrize("tokenizer", [SEMANTIC, "toklip-ti"])
def test_ids_vectors_and_both(tokenizer: str) -> None:
    vectors, both = (random_model(config_of(kind, tokenizer), 0)[0] for kind in ("vectors", "both"))
    ids_alone = random_model(config_of("ids", tokenizer), 0)[0]
    assert vectors.tokenizer.state_dict().keys() == both.tokenizer.state_dict().keys()
    tokens = vectors.image_tokens(pixels(2))
    assert tokens.vectors is not None
    assert tokens.vectors.shape == (2, 64, 160)
    assert tokens.vectors.dtype == torch.float16
    assert torch.equal(tokens.ids, ids_alone.image_tokens(pixels(2)).ids)
    grid = load_tokenizer("grid64")
    assert isinstance(grid, GridTokenizer)
    assert torch.equal(tokens.ids, grid.encoder.encode_ids(pixels(2)))
    assert ids_alone.image_tokens(pixels(2)).vectors is None
    ids, lengths = sequences(vectors, tokens.ids)
    other_ids, _ = sequences(vectors, (tokens.ids + 1) % vectors.config.num_codes)
    with torch.inference_mode():
        by_vectors = vectors.embed(ids, lengths, tokens.vectors)
        assert torch.equal(by_vectors, vectors.embed(other_ids, lengths, tokens.vectors))  # ids say where, not what
        assert not torch.allclose(by_vectors, vectors.embed(ids, lengths, -tokens.vectors), atol=1e-3)
        by_both = both.embed(ids, lengths, tokens.vectors)
        assert not torch.allclose(by_both, both.embed(other_ids, lengths, tokens.vectors), atol=1e-3)
        assert not torch.allclose(by_both, both.embed(ids, lengths, -tokens.vectors), atol=1e-3)


def test_a_hidden_token_hides_its_vector() -> None:
    model, _ = random_model(config_of("both"), 0)
    tokens = model.image_tokens(pixels(1))
    ids, lengths = sequences(model, tokens.ids)
    ids[0, 5] = model.config.mask_id
    assert tokens.vectors is not None
    changed = tokens.vectors.clone()
    changed[0, 5] += 3 * torch.randn(160).half()
    with torch.inference_mode():
        assert torch.equal(model.hidden(ids, lengths, tokens.vectors), model.hidden(ids, lengths, changed))
        changed[0, 6] += 3 * torch.randn(160).half()
        assert not torch.allclose(model.hidden(ids, lengths, tokens.vectors), model.hidden(ids, lengths, changed))


def test_texts_need_no_vectors_and_pictures_do() -> None:
    model, _ = random_model(config_of("vectors"), 0)
    tokens = model.image_tokens(pixels(1))
    ids, lengths = sequences(model, tokens.ids)
    with pytest.raises(UserError, match="image ids without vectors"):
        model.embed(ids, lengths)
    assert tokens.vectors is not None
    with pytest.raises(UserError, match="vectors of another tokenizer"):
        model.embed(ids, lengths, tokens.vectors[:, :, :12])
    text, length = ids[:, 64:], lengths - 64
    with torch.inference_mode():
        alone = model.embed(text, length)
        assert torch.equal(alone, model.embed(text, length, torch.randn(1, 64, 160).half()))


def test_the_encoder_reads_vectors(tmp_path: Path) -> None:
    name = f"fuselip-ti+{SEMANTIC}:vectors"
    model, _ = random_model(config_of("vectors"), 0)
    save_model(model, tmp_path)
    assert read_config(tmp_path) == model.config
    back = load_model(model.config, tmp_path / "model.safetensors").state_dict()
    assert all(torch.equal(value, back[key]) for key, value in model.state_dict().items())
    encoder = fuselip.load(name, weights=str(tmp_path), device="cpu")
    assert isinstance(encoder, FuseLIPEncoder)
    shades = [Image.new("RGB", (64, 64), (40 * k, 90, 200 - 30 * k)) for k in range(3)]
    inputs = ["a word", (shades[0], "a word"), shades[1], shades[2]]
    together = encoder.encode(inputs)
    alone = np.concatenate([encoder.encode([each]) for each in inputs])
    np.testing.assert_allclose(together, alone, atol=3e-5)
    assert not np.allclose(together[2], together[3], atol=1e-4)
    with pytest.raises(UserError, match="image features 'vectors'"):
        fuselip.load("fuselip-ti", weights=str(tmp_path))


def test_fewer_codes_are_the_first_ones() -> None:
    config = model_of("fuselip-ti+onedpiece-s:8").config
    assert isinstance(config, FuseLIPConfig)
    assert (config.num_image_tokens, config.context_length) == (8, 128)
    assert model_of("fuselip-ti+onedpiece-s").config.context_length == 320
    assert "8 image tokens" in config.architecture
    assert config_from_json(config.to_json()) == config
    assert [name for name, each in image_variants().items() if fewest(each) == 1] == [
        f"onedpiece-{size}" for size in "sbl"
    ]


@pytest.mark.slow
def test_the_tail_is_dropped_from_the_codes() -> None:
    """A picture of 256 pixels through an encoder of 26 million parameters."""
    whole, short = (random_model(model_of(f"fuselip-ti+onedpiece-s{more}").config, 0)[0] for more in ("", ":8"))
    assert isinstance(whole, FuseLIP)
    assert isinstance(short, FuseLIP)
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        codes = whole.image_codes(picture)
        assert codes.shape == (1, 256)
        assert torch.equal(short.image_codes(picture), codes[:, :8])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fuselip-ti+grid64:vectors", "gives ids alone"),
        ("fuselip-ti+siglip", "gives vectors alone"),
        ("fuselip-ti+siglip:both", "gives vectors alone"),
        ("fuselip-ti+grid64:32", "gives 64"),
        ("fuselip-ti+onedpiece-s:257", "gives 1 to 256"),
        ("fuselip-ti+onedpeice-s", "did you mean 'onedpiece-s'"),
        ("fuselip-ti+grid64:all", "is not MODEL.TOKENIZER"),
        ("siglip-ti-sf+grid64", "only a FuseLIP"),
    ],
)
def test_what_does_not_go_together_is_told(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        model_of(name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_features": "pixels"}, "image_features is 'pixels'"),
        ({"image_tokenizer": "fuselip-grid64"}, "config.json: .*gives ids alone"),
        ({"image_tokens": 32}, "config.json: image_tokens is 32"),
        ({"image_tokens": "all"}, "image_tokens is 'all'"),
    ],
)
def test_a_wrong_config_is_told(change: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        config_from_json(config_of("vectors").to_json() | change)


def test_features_start_from_what_the_package_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The grid's codes and the tower of the late-fusion model, each where it is there."""
    late, _ = random_model(MODELS["siglip-ti-sf"].config, 5)
    save_model(late, tmp_path / "made")
    (tmp_path / "made" / "model.safetensors").rename(tmp_path / "siglip-ti-sf.safetensors")
    monkeypatch.setattr(image_tokenizers, "DATA", tmp_path)
    config = config_of("vectors")
    assert not image_tokenizers.is_tokenizer_shipped(config)  # its grid is not in this folder
    state = random_model(config, 0)[0].state_dict()
    tower = {key: value for key, value in late.state_dict().items() if key.startswith("model.visual.")}
    assert tower
    for key, value in tower.items():
        assert torch.equal(state[key.replace("model.visual.", "image_tokenizer.model.tower.")], value)
    assert image_tokenizers.is_tokenizer_shipped(config_of("vectors", "siglip"))


@given(st.lists(st.integers(0, 2047), min_size=1, max_size=20))
def test_bsq_codes_come_back(ids: list[int]) -> None:
    bsq, wanted = BSQ(11), torch.tensor(ids)
    vectors = bsq.vectors(wanted)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(ids)))
    assert torch.equal(bsq.ids(vectors), wanted)
    assert torch.equal(bsq.ids(1e-3 * vectors), wanted)


def test_bsq_takes_the_nearest_corner_and_passes_gradients() -> None:
    bsq = BSQ(5)
    z = torch.randn(50, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    every = bsq.vectors(torch.arange(bsq.num_codes))
    nearest = torch.cdist(torch.nn.functional.normalize(z, dim=-1), every).argmin(dim=1)
    assert torch.equal(bsq.ids(z), nearest)
    made = bsq(z)
    torch.testing.assert_close(made, bsq.vectors(nearest))
    (made * torch.arange(5.0)).sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum(dim=1).min() > 0
    torch.testing.assert_close((z.grad * z.detach()).sum(dim=1), torch.zeros(50), atol=1e-5, rtol=0)  # on the sphere


def test_a_bsq_grid_comes_back(tmp_path: Path) -> None:
    model = GridTokenizer(BSQ_GRIDS["grid16-bsq"]).eval()
    fill_by_seed(model, 1)
    ids = model.encoder.encode_ids(pixels(2))
    assert ids.shape == (2, 16)
    assert 0 <= int(ids.min()) <= int(ids.max()) < model.variant.num_codes == 2048
    assert model.reconstruct(ids).shape == (2, 3, 64, 64)
    save_tokenizer(model, tmp_path, {})
    back = load_tokenizer(tmp_path)
    assert isinstance(back, GridTokenizer)
    assert back.variant == model.variant
    assert torch.equal(back.encoder.encode_ids(pixels(2)), ids)
