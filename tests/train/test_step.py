"""One step: what must not change its gradients, and what the optimizer makes of them."""

from __future__ import annotations

import math
from typing import Any

import handmade
import pytest
import small
import torch
from torch import Tensor

from fuselip.model.configs import FuseLIPConfig
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train.config import Loss, Mask, Optim, Train
from fuselip.train.gather import Peers
from fuselip.train.optim import adamw, learning_rate, temperature, trainable
from fuselip.train.step import SHARES, Stepper

NAMES = [small.NAME, "small-sf", "small-mlf"]


def gradients(name: str, **settings: Any) -> tuple[dict[str, Tensor], Tensor]:
    config = Train(model=name, steps=10, batch_size=9, **settings)
    model, _ = random_model(model_of(name).config, 0)
    stepper = Stepper(model, config, Peers(), torch.device("cpu"))
    shares = stepper.gradients(handmade.batch(model.config, 9, 5), 0, [9])
    return {name: p.grad for name, p in stepper.parameters.items() if p.grad is not None}, shares


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor], rel: float) -> None:
    assert found.keys() == wanted.keys()
    size = math.sqrt(sum(float(tensor.square().sum()) for tensor in wanted.values()))
    for name, tensor in wanted.items():
        assert float((found[name] - tensor).norm()) <= rel * size, name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pairs", [1, 4])
def test_cached_gradients_are_those_of_the_whole_batch(small_config: FuseLIPConfig, name: str, pairs: int) -> None:
    wanted, shares = gradients(name)
    found, again = gradients(name, chunk_pairs=pairs)
    assert_equal(found, wanted, 1e-6)
    torch.testing.assert_close(again, shares, rtol=1e-6, atol=1e-9)
    assert set(wanted) >= set(trainable(random_model(model_of(name).config, 0)[0]))


@pytest.mark.parametrize("name", NAMES)
def test_recomputed_blocks_give_the_same_gradients(small_config: FuseLIPConfig, name: str) -> None:
    assert_equal(gradients(name, checkpointing=True)[0], gradients(name)[0], 1e-6)


def test_bf16_is_near_and_cached_bf16_equals_it(small_config: FuseLIPConfig) -> None:
    wanted, _ = gradients(small.NAME)
    half, _ = gradients(small.NAME, precision="bf16")
    assert_equal(half, wanted, 0.05)
    assert not torch.equal(half["token_embedding.weight"], wanted["token_embedding.weight"])
    assert_equal(gradients(small.NAME, precision="bf16", chunk_pairs=100)[0], half, 1e-6)


def test_sides_and_options_of_the_losses(small_config: FuseLIPConfig) -> None:
    def share(name: str, **settings: Any) -> float:
        return float(gradients(small.NAME, **settings)[1][SHARES.index(name)])

    both = Mask(0.4)
    assert share("mask_left", mask=both) > 0 < share("mask_right", mask=both)
    assert share("mask_left", mask=Mask(0.4, sides="right")) == 0 < share("mask_right", mask=Mask(0.4, sides="right"))
    assert share("mask_left", mask=Mask(0)) == share("image_masked", mask=Mask(0)) == 0
    # A random model's guess among V ids costs about log V; each side counts for a quarter.
    assert share("mask_left", mask=both) == pytest.approx(0.25 * math.log(small_config.vocab_size), rel=0.05)
    assert share("contrastive", loss=Loss(mask_equal_rights=True)) < share("contrastive")


def test_a_step_moves_what_is_trained_and_nothing_else(small_config: FuseLIPConfig) -> None:
    model, _ = random_model(small_config, 0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optim = Optim(lr=1.0, warmup=0)
    stepper = Stepper(model, Train(model=small.NAME, steps=2, batch_size=6, optim=optim), Peers(), torch.device("cpu"))
    stepper.step(handmade.batch(small_config, 6, 1), 0, [6])
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == name.startswith("image_tokenizer."), name
    assert 0 <= temperature(model)[0].item() <= math.log(100)


def test_the_learning_rate_rises_and_falls() -> None:
    optim = Optim(lr=2.0, warmup=4)
    rates = [learning_rate(optim, step, 12) for step in range(13)]
    assert rates[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates[8] == pytest.approx(1.0)
    assert rates[12] == pytest.approx(0)


def test_what_decays(small_config: FuseLIPConfig) -> None:
    model, _ = random_model(small_config, 0)
    names = {parameter: name for name, parameter in trainable(model).items()}
    groups = {
        group["weight_decay"]: {names[parameter] for parameter in group["params"]}
        for group in adamw(model, Optim(weight_decay=0.5)).param_groups
    }
    assert {"token_embedding.weight", "positional_embedding", "mask_prediction_head.dense.weight"} <= groups[0.5]
    assert {"logit_scale", "logit_bias", "ln_final.weight", "mask_prediction_head.bias"} <= groups[0]
    assert groups[0.5] | groups[0] == set(names.values())
    assert not any(name.startswith("image_tokenizer.") for name in names.values())
