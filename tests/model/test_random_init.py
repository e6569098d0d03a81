"""Random weights: the same everywhere, the paper's scales, and varied image ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_cases import FUSELIP, drawn, pixels_of

from fuselip.model.configs import FuseLIPConfig
from fuselip.model.fuselip import FuseLIP
from fuselip.model.models import MODELS
from fuselip.model.random_init import random_model

# Recorded on x86-64; holds on every machine, because only raw draws and one table are involved.
TINY_SHA256 = "f8337bf684cf9360565f825187409194055b890517ee345175cf76d4e53aa414"


@pytest.fixture(scope="module")
def model() -> FuseLIP:
    return random_model(MODELS["fuselip-s"].config, 0)[0]


def test_the_same_bytes_whatever_the_global_state(tiny_config: FuseLIPConfig) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = random_model(tiny_config, 0)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = random_model(tiny_config, 0)
    assert torch.equal(state, torch.get_rng_state())
    assert first[1] == second[1] == TINY_SHA256
    assert random_model(tiny_config, 1)[1] != first[1]
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters(), strict=True))


def test_scales(model: FuseLIP) -> None:
    width, layers = 384, 12
    wanted = {
        "token_embedding.weight": 0.02,
        "positional_embedding": 0.01,
        "transformer.resblocks.5.attn.in_proj_weight": width**-0.5,
        "transformer.resblocks.5.attn.out_proj.weight": width**-0.5 * (2 * layers) ** -0.5,
        "transformer.resblocks.5.mlp.c_proj.weight": width**-0.5 * (2 * layers) ** -0.5,
        "transformer.resblocks.5.mlp.c_fc.weight": (2 * width) ** -0.5,
    }
    state = model.state_dict()
    for name, std in wanted.items():
        assert state[name].std().item() == pytest.approx(std, rel=0.01), name
        assert abs(state[name].mean().item()) < 0.02 * std, name
    assert state["logit_scale"].item() == pytest.approx(np.log(10))
    assert state["logit_bias"].item() == -10
    assert state["ln_final.weight"].eq(1).all()
    assert not state["transformer.resblocks.0.attn.in_proj_bias"].any()
    assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize("name", FUSELIP)
def test_image_ids_vary_within_and_between_pictures(name: str) -> None:
    titok = random_model(MODELS[name].config, 0)[0].tokenizer
    with torch.inference_mode():
        plaid, rings = (titok.encode_ids(pixels_of(drawn(kind)))[0] for kind in ("plaid", "rings"))
    assert min(len(plaid.unique()), len(rings.unique())) > 40
    assert (plaid != rings).float().mean() > 0.5
