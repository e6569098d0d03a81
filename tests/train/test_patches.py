"""Raw patches in place of codes: pixels as they are, nothing to load, trained, cached and saved like other vectors."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import handmade
import numpy as np
import pytest
import small
import torch
from PIL import Image

import fuselip
from fuselip.core.errors import UsageError
from fuselip.model.checkpoints import load_model, read_config, save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.fuselip import FuseLIP
from fuselip.model.image_tokenizers import is_tokenizer_shipped, shipped_tensors
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train.batch import Side
from fuselip.train.config import Mask, Train
from fuselip.train.data import DataConfig, Part, batches
from fuselip.train.data.frozen import FrozenTokenizer
from fuselip.train.early import tokens_of
from fuselip.train.flops import pair
from fuselip.train.gather import Peers
from fuselip.train.start import model_of_config
from fuselip.train.step import Stepper
from fuselip.train.studies import STUDIES
from fuselip.train.study import Setup, lacking

NAME = "fuselip-ti+patches64:vectors"
SCENES = (Part("datagen.training:scenes", 1.0, {"kind": "captions", "size": 64, "count": 4}),)


@pytest.fixture(scope="module")
def config() -> FuseLIPConfig:
    found = model_of(NAME).config
    assert isinstance(found, FuseLIPConfig)
    return found


@pytest.fixture(scope="module")
def model(config: FuseLIPConfig) -> FuseLIP:
    return random_model(config, 0)[0]


def shades(*values: float) -> torch.Tensor:
    """Plain grey pictures [B, 3, 64, 64]."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 64, 64)


def test_vectors_are_the_pixels(model: FuseLIP) -> None:
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens = model.image_tokens(pixels)
    assert tokens.vectors is not None
    assert tokens.vectors.shape == (2, 64, 192)
    assert tokens.vectors.dtype == torch.float16
    assert not tokens.ids.any()
    for place in (0, 9, 63):
        top, left = 8 * (place // 8), 8 * (place % 8)
        patch = pixels[:, :, top : top + 8, left : left + 8].reshape(2, -1)
        torch.testing.assert_close(tokens.vectors[:, place].float() / 4 + 0.5, patch, rtol=0, atol=3e-4)
    levels = torch.arange(256)[:, None, None, None].expand(-1, 3, 64, 64) / 255
    vectors = model.image_tokens(levels).vectors
    assert vectors is not None
    assert len(torch.unique(vectors)) == 256  # float16 keeps all that a picture's bytes say
    assert vectors.abs().max() == 2


def test_tokens_begin_as_large_as_those_of_codes(model: FuseLIP) -> None:
    """And how bright a plain patch is stays to be seen."""
    pixels = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    vectors = model.image_tokens(pixels).vectors
    assert vectors is not None
    with torch.no_grad():
        ratio = model.image_projection(vectors).std() / model.token_embedding.weight.std()
    assert 0.5 < ratio < 2
    ids = torch.tensor([[model.config.image_offset] * 64 + [model.config.sot_id, model.config.eot_id]]).expand(3, -1)
    with torch.no_grad():
        found = model.embed(ids, torch.tensor([66] * 3), model.image_tokens(shades(0.0, 0.7, 1.0)).vectors)
    assert torch.pdist(found).min() > 0.05


def test_there_is_nothing_to_load(config: FuseLIPConfig, model: FuseLIP, tmp_path: Path) -> None:
    assert not model.image_tokenizer.state_dict()
    assert is_tokenizer_shipped(config)
    assert not shipped_tensors(config)
    row = STUDIES["codes"].rows["patches"]
    assert row.model == NAME
    assert not lacking(row, Setup(1, (1,), tmp_path))
    told: list[str] = []
    model_of_config(Train(NAME, 1, 2), told.append)
    assert not told
    with pytest.raises(UsageError, match="structured_codes=false"):
        model_of_config(Train(NAME, 1, 2, structured_codes=True), told.append)
    save_model(model, tmp_path)
    with pytest.raises(UsageError, match="no weights to load"):
        model_of_config(Train(NAME, 1, 2, image_tokenizer=str(tmp_path)), told.append)
    assert pair(config, 0.0).tokenizer == 0


def test_a_checkpoint_comes_back(config: FuseLIPConfig, model: FuseLIP, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    assert read_config(tmp_path) == config
    back = load_model(config, tmp_path / "model.safetensors").state_dict()
    assert back.keys() == model.state_dict().keys()
    assert all(torch.equal(value, back[key]) for key, value in model.state_dict().items())
    encoder = fuselip.load(NAME, weights=str(tmp_path), device="cpu")
    pictures = [Image.new("RGB", (100, 64), (40 * k, 90, 200 - 30 * k)) for k in range(3)]
    inputs = ["a word", (pictures[0], "a word"), *pictures]
    together = encoder.encode(inputs)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode([each]) for each in inputs]), atol=3e-5)
    assert not np.allclose(together[2], together[3], atol=1e-3)


def test_a_step_trains_the_projection(small_config: FuseLIPConfig) -> None:
    config = model_of(f"{small.NAME}+patches64:vectors").config
    assert isinstance(config, FuseLIPConfig)
    model, _ = random_model(config, 0)
    with pytest.raises(UsageError, match=r"gives vectors alone.*set mask.ratio=0"):
        Stepper(model, Train("", 10, 6), Peers(), torch.device("cpu"))
    found = {}
    for chunk in (0, 2):
        run = Train("", 10, 6, mask=Mask(ratio=0.0), chunk_pairs=chunk)
        stepper = Stepper(model, run, Peers(), torch.device("cpu"))
        stepper.gradients(handmade.batch(config, 6, 4, pixels=True), 0, [6])
        found[chunk] = {name: p.grad for name, p in stepper.parameters.items() if p.grad is not None}
        model.zero_grad()
    gradient = found[0]["image_projection.proj.weight"]
    assert gradient.abs().sum() > 0
    torch.testing.assert_close(found[2]["image_projection.proj.weight"], gradient, rtol=1e-3, atol=1e-5)


def read(config: FuseLIPConfig, tokens: str, tokenizer: FrozenTokenizer | None) -> list[Side]:
    """Those sides of the first two batches that have pictures."""
    data = DataConfig(SCENES, draws=1, tokens=tokens)
    stream = batches(data, model_config=config, batch_size=4, seed=0, tokenizer=tokenizer)
    return [side for batch, _ in islice(stream, 2) for side in (batch.left, batch.right) if side.image_rows.max() >= 0]


def test_patches_are_cached(
    config: FuseLIPConfig, model: FuseLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache gives what the step would make of the pixels, to the bit."""
    tokenizer = FrozenTokenizer(model)
    plain, made = read(config, "", None), read(config, str(tmp_path), tokenizer)
    monkeypatch.setattr(FrozenTokenizer, "encode", lambda self, pixels: pytest.fail("made again"))
    for pixels, first, again in zip(plain, made, read(config, str(tmp_path), tokenizer), strict=True):
        wanted = tokens_of(model, pixels)
        assert wanted is not None
        assert wanted.vectors is not None
        for side in (first, again):
            assert side.pixels is None
            assert side.codes is not None
            assert side.vectors is not None
            assert torch.equal(side.codes, wanted.ids)
            assert torch.equal(side.vectors, wanted.vectors)
    assert plain
