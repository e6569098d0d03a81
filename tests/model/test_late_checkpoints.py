"""The late-fusion baselines' weights: checkpoints of our own layout, what `auto` takes, the initialisation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import drawn
from tiny import LATE_TINY

import fuselip
from fuselip.core.errors import UsageError, UserError
from fuselip.model.checkpoints import read_config, save_model
from fuselip.model.configs import config_from_json
from fuselip.model.late_fusion import LateFusion
from fuselip.model.late_fusion_encoder import LateFusionEncoder
from fuselip.model.models import MODELS
from fuselip.model.random_init import random_model
from fuselip.model.weights import find, load_weights, trained_at_hand


@pytest.fixture(params=LATE_TINY)
def encoder(request: pytest.FixtureRequest, tiny_late: None) -> LateFusionEncoder:
    return fuselip.load(request.param, weights="random", device="cpu")


@pytest.mark.parametrize("offline", [False, True])
def test_auto_says_that_nothing_is_published(offline: bool) -> None:
    found = find("siglip-b-sf", offline=offline)
    assert found.path is None
    assert found.record.is_random
    assert found.record.note.startswith("RANDOM weights (seed 0): no trained weights of this model are published")
    with pytest.raises(UsageError, match=r"siglip-b-sf takes auto, random, hf:OWNER"):
        find("siglip-b-sf", "cc12m-mm")


@pytest.mark.parametrize("binary", [False, True])
def test_checkpoints_round_trip(encoder: LateFusionEncoder, tmp_path: Path, binary: bool) -> None:
    name, values = encoder.info.name, ["a cat", (drawn("rings"), "flip"), drawn("plaid")]
    save_model(encoder.model, tmp_path / "mine")
    if binary:  # as the paper's code writes it
        (tmp_path / "mine" / "model.safetensors").unlink()
        torch.save(encoder.model.state_dict(), tmp_path / "mine" / "pytorch_model.bin")
    again = fuselip.load(name, weights=str(tmp_path / "mine"), device="cpu")
    np.testing.assert_array_equal(again.encode(values), encoder.encode(values))
    assert again.model.config == read_config(tmp_path / "mine") == MODELS[name].config
    assert again.info.weights is not None
    assert again.info.weights.source == "local"


def test_a_checkpoint_in_this_folder_is_told_of(
    encoder: LateFusionEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(encoder.model, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert "--weights ./mine" in trained_at_hand()


def test_refused_checkpoints(tiny_late: None, tmp_path: Path) -> None:
    model, _ = random_model(MODELS["tiny-mlf"].config, 0)
    save_model(model, tmp_path)
    with pytest.raises(UserError, match=r"holds another model than tiny-sf: towers 'tiny' .*; load it as tiny-mlf"):
        load_weights("tiny-sf", str(tmp_path))
    with pytest.raises(UserError, match=r"holds another model than fuselip-s"):
        load_weights("fuselip-s", str(tmp_path))
    value = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(value | {"fusion": "add"}))
    with pytest.raises(UserError, match=r"55 unexpected \(fusion_module"):
        load_weights("tiny-sf", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(value | {"context_length": 77}))
    with pytest.raises(UserError, match=r"positional_embedding \[180, 32\], not \[77, 32\]"):
        load_weights("tiny-mlf", str(tmp_path))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"towers": "ViT-L-14"}, "towers"),
        ({"towers": ["ViT-S-16-256-180-mask"]}, "towers"),
        ({"fusion": "multiply"}, "fusion"),
        ({"padding": None}, "padding"),
        ({"context_length": 10**12}, "context_length"),
        ({"model_name": "ViT-S-16-256-180-mask"}, "model_name"),
    ],
)
def test_wrong_configurations(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        config_from_json(MODELS["siglip-s-sf"].config.to_json() | change)


def test_initialisation() -> None:
    model, _ = random_model(MODELS["siglip-s-mlf"].config, 0)
    assert isinstance(model, LateFusion)
    state, width = model.state_dict(), 384
    block = "transformer.resblocks.3"
    wanted = {
        "model.text.token_embedding.weight": 0.02,
        "model.text.positional_embedding": 0.01,
        "model.text.text_projection": width**-0.5,
        f"model.text.{block}.attn.in_proj_weight": width**-0.5,
        f"model.text.{block}.attn.out_proj.weight": width**-0.5 * 24**-0.5,
        f"model.text.{block}.mlp.c_fc.weight": (2 * width) ** -0.5,
        f"model.text.{block}.mlp.c_proj.weight": width**-0.5 * 24**-0.5,
        f"fusion_module.{block}.attn.out_proj.weight": width**-0.5 * 8**-0.5,
        "model.visual.positional_embedding": width**-0.5,
        "model.visual.proj": width**-0.5,
        "fusion_module.attention_pooler.query": width**-0.5,
    }
    with torch.random.fork_rng():
        attention, linear = torch.nn.MultiheadAttention(width, 6), torch.nn.Linear(width, 4 * width)
        conv = torch.nn.Conv2d(3, width, 16, bias=False)
    torchs = {
        f"model.visual.{block}.attn.in_proj_weight": attention.in_proj_weight,
        f"model.visual.{block}.attn.out_proj.weight": attention.out_proj.weight,
        "fusion_module.attention_pooler.attn.in_proj_weight": attention.in_proj_weight,
        f"model.visual.{block}.mlp.c_fc.weight": linear.weight,
        f"model.visual.{block}.mlp.c_fc.bias": linear.bias,
        "model.visual.conv1.weight": conv.weight,
    }
    for name, like in torchs.items():
        assert state[name].abs().max().item() == pytest.approx(like.abs().max().item(), rel=0.02), name
    for name, std in (wanted | {name: like.std().item() for name, like in torchs.items()}).items():
        assert state[name].std().item() == pytest.approx(std, rel=0.12 if state[name].numel() < 2000 else 0.02), name
    assert state["model.logit_scale"].item() == pytest.approx(np.log(10))
    assert state["model.logit_bias"].item() == -10
    assert state["model.visual.ln_pre.weight"].eq(1).all()
    for name in (f"model.text.{block}.mlp.c_fc.bias", "fusion_module.attention_pooler.attn.in_proj_bias"):
        assert not state[name].any(), name
