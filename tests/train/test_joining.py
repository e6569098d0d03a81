"""Picture and text joined half-way: which tokens see which in which block, in the encoder and in training alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import handmade
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import fuselip
from fuselip.core.errors import UsageError, UserError
from fuselip.model.checkpoints import load_model, read_config, save_model
from fuselip.model.configs import FuseLIPConfig, config_from_json
from fuselip.model.fuselip import FuseLIP
from fuselip.model.models import MODELS, model_of
from fuselip.model.random_init import random_model
from fuselip.model.text_config import Padding
from fuselip.model.tokens import key_mask, pad
from fuselip.train.config import Mask, Train
from fuselip.train.early import Sequences, join
from fuselip.train.gather import Peers
from fuselip.train.masking import IGNORED, Masked, mask
from fuselip.train.step import Stepper
from fuselip.train.studies import VARIANTS, variants

NAME = "fuselip-ti-joined"
PICTURE = slice(0, 64)


@pytest.fixture(scope="module")
def config() -> FuseLIPConfig:
    found = VARIANTS[NAME].config
    assert isinstance(found, FuseLIPConfig)
    assert (found.join, found.size.layers) == (2, 4)
    return found


@pytest.fixture(scope="module")
def model(config: FuseLIPConfig) -> FuseLIP:
    return random_model(config, 0)[0]


def sequences(config: FuseLIPConfig) -> tuple[Tensor, Tensor]:
    """A picture with a long text, one with a short text, one alone, and a text alone; id 0 stands in the first text."""
    draw = np.random.default_rng(0)
    pictures = [(draw.integers(0, config.num_codes, 64) + config.image_offset).tolist() for _ in range(3)]
    sot, eot = config.sot_id, config.eot_id
    texts = [[sot, 5, 0, 7, 8, 9, eot], [sot, 5, eot], [sot, eot], [sot, 5, 6, 7, eot]]
    return pad([picture + text for picture, text in zip([*pictures, []], texts, strict=True)])


@torch.no_grad()
def states(model: FuseLIP, ids: Tensor, lengths: Tensor, image: Tensor | None = None) -> list[Tensor]:
    """What each block gives [B, T, D]."""
    found: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda module, given, out: found.append(out))
        for block in model.transformer.resblocks
    ]
    model.hidden(ids, lengths, image_BT=image)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("padding", ["length", "id"])
def test_kinds_keep_to_themselves_before_they_join(config: FuseLIPConfig, padding: Padding) -> None:
    model, _ = random_model(replace(config, padding=padding), 0)
    ids, lengths = sequences(config)
    before = states(model, ids, lengths)
    assert all(torch.isfinite(each).all() for each in before)
    text = slice(64, 67)  # no padding in the first two
    for place, own, other in ((5, PICTURE, text), (65, text, PICTURE)):
        changed = ids.clone()
        changed[:2, place] += 1
        after = states(model, changed, lengths)
        for block in range(4):
            same = torch.equal(before[block][:2, other], after[block][:2, other])
            assert same == (block < 2), (place, block)
            assert not torch.equal(before[block][:2, own], after[block][:2, own])
        assert torch.equal(before[3][2:], after[3][2:])
        with torch.no_grad():
            difference = (model.embed(ids, lengths) - model.embed(changed, lengths)).abs().amax(1)
        assert (difference[:2] > 1e-4).all()
        assert not difference[2:].any()


def test_it_is_two_towers_joined(model: FuseLIP) -> None:
    """The first blocks on picture and text alone, the others on both behind one another."""
    ids, lengths = sequences(model.config)
    found = states(model, ids, lengths)[-1]
    with torch.no_grad():
        for row in range(3):
            x = model.token_embedding(ids[row : row + 1, : lengths[row]])
            x = x + model.positional_embedding[: lengths[row]]
            parts = [x[:, PICTURE], x[:, 64:]]
            for block in model.transformer.resblocks[:2]:
                parts = [block(part) for part in parts]
            x = torch.cat(parts, dim=1)
            for block in model.transformer.resblocks[2:]:
                x = block(x)
            torch.testing.assert_close(found[row, : lengths[row]], x[0], rtol=0, atol=2e-6)


def test_early_fusion_is_as_it_was(config: FuseLIPConfig, model: FuseLIP) -> None:
    """Bit by bit, and joined half-way a text alone is embedded by the same weights as the same."""
    early, _ = random_model(replace(config, join=0), 0)
    weights = model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in early.state_dict().items())
    ids, lengths = sequences(config)
    with torch.no_grad():
        x = early.token_embedding(ids) + early.positional_embedding[: ids.shape[1]]
        for block in early.transformer.resblocks:
            x = block(x, key_mask(ids, lengths, "length"))
        assert torch.equal(early.hidden(ids, lengths), x)
        difference = (early.embed(ids, lengths) - model.embed(ids, lengths)).abs().amax(1)
    assert (difference[:3] > 1e-3).all()
    assert difference[3] < 1e-5


def test_training_embeds_as_the_encoder(config: FuseLIPConfig, model: FuseLIP) -> None:
    side = handmade.batch(config, 9, 1).left
    ids, lengths = join(side, side.codes, config)
    untouched = Masked(ids, torch.full_like(ids, IGNORED))
    for masked in (None, untouched):
        features = Sequences(model, ids, lengths, masked).embed(torch.arange(9), None).features
        for row in range(9):
            with torch.no_grad():
                alone = model.embed(ids[row : row + 1, : lengths[row]], lengths[row : row + 1])
            torch.testing.assert_close(features[row], F.normalize(alone, dim=-1)[0], rtol=0, atol=2e-6)


def test_a_hidden_part_of_a_picture_stays_a_part_of_it(config: FuseLIPConfig, model: FuseLIP) -> None:
    """[MASK] in a picture is not seen by the text before they join, not even where all of the picture is hidden."""
    ids, lengths = sequences(config)
    hidden = ids.clone()
    hidden[:3, PICTURE] = config.mask_id
    found: list[Tensor] = []
    hook = model.transformer.resblocks[1].register_forward_hook(lambda module, given, out: found.append(out))
    for each in (ids, hidden):
        Sequences(model, ids, lengths, Masked(each, torch.full_like(ids, IGNORED))).embed(torch.arange(4), None)
    hook.remove()
    assert torch.equal(found[0][:3, 64:67], found[1][:3, 64:67])
    assert not torch.equal(found[0][:3, PICTURE], found[1][:3, PICTURE])


def gradients(config: FuseLIPConfig, run: Train) -> tuple[Tensor, dict[str, Tensor]]:
    model, _ = random_model(config, 0)
    stepper = Stepper(model, run, Peers(), torch.device("cpu"))
    shares = stepper.gradients(handmade.batch(config, 6, 4), 0, [6])
    return shares, {name: p.grad for name, p in stepper.parameters.items() if p.grad is not None}


def test_steps_in_chunks_and_recomputed_are_the_same(small_config: FuseLIPConfig) -> None:
    config = replace(small_config, join=1)
    run = Train("", 10, 6, mask=Mask(ratio=0.3))
    shares, wanted = gradients(config, run)
    assert shares[4] > 0  # image tokens that were hidden
    for other in (replace(run, chunk_pairs=2), replace(run, checkpointing=True)):
        again, found = gradients(config, other)
        torch.testing.assert_close(again, shares, rtol=1e-4, atol=1e-5)
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)
    early, _ = gradients(replace(config, join=0), run)
    assert not torch.allclose(early[:3], shares[:3], rtol=1e-4)


def test_what_is_hidden_does_not_hang_on_the_join(config: FuseLIPConfig) -> None:
    side = handmade.batch(config, 6, 3).left
    ids, lengths = join(side, side.codes, config)
    found = [
        mask(ids, lengths, each, ratio=0.5, seed=("a",), paper=False).ids for each in (config, replace(config, join=0))
    ]
    assert torch.equal(*found)


def test_a_checkpoint_says_where_it_joins(config: FuseLIPConfig, model: FuseLIP, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    assert read_config(tmp_path) == config
    assert config.to_json()["join"] == 2
    assert "join" not in replace(config, join=0).to_json()
    assert "join" not in replace(config, join=0).architecture
    back = load_model(read_config(tmp_path), tmp_path / "model.safetensors")
    assert isinstance(back, FuseLIP)
    ids, lengths = sequences(config)
    with torch.no_grad():
        assert torch.equal(back.embed(ids, lengths), model.embed(ids, lengths))
    with variants():
        encoder = fuselip.load(NAME, weights=str(tmp_path), device="cpu")
    inputs = ["a word", (Image.new("RGB", (64, 64), (40, 90, 200)), "a word"), Image.new("RGB", (64, 64))]
    alone = np.concatenate([encoder.encode([each]) for each in inputs])
    np.testing.assert_allclose(encoder.encode(inputs), alone, atol=3e-5)
    with pytest.raises(UserError, match="joined from block 2 on"):
        fuselip.load("fuselip-ti", weights=str(tmp_path))
    assert NAME not in MODELS


def test_no_block_of_that_number_is_told(config: FuseLIPConfig) -> None:
    early = model_of("fuselip-ti").config
    assert isinstance(early, FuseLIPConfig)
    for wrong in (-1, 4):
        with pytest.raises(UsageError, match="the blocks 0 to 3"):
            replace(early, join=wrong)
    for value in (-1, 4, "half", True, None):
        with pytest.raises(UserError, match=r"config.json: join is .* from 0 to 3"):
            config_from_json(config.to_json() | {"join": value})
