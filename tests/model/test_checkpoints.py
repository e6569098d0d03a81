"""Checkpoint folders: what loads, and what is refused with which words."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny import write_checkpoint

from fuselip.core.errors import UserError
from fuselip.model.checkpoints import load_model, read_config, weights_file
from fuselip.model.configs import FuseLIPConfig, config_from_json
from fuselip.model.fuselip import FuseLIP
from fuselip.model.models import MODELS
from fuselip.model.random_init import random_model
from fuselip.model.toklip_config import TokLIPConfig


@pytest.fixture
def model(tiny_config: FuseLIPConfig) -> FuseLIP:
    return random_model(tiny_config, 0)[0]


@pytest.fixture
def folder(tmp_path: Path, model: FuseLIP) -> Path:
    return write_checkpoint(tmp_path / "checkpoint", model.config, model.state_dict())


def load(folder: Path) -> FuseLIP:
    return load_model(read_config(folder), weights_file(folder))


def same(left: FuseLIP, right: FuseLIP) -> bool:
    other = right.state_dict()
    return all(torch.equal(tensor, other[key]) for key, tensor in left.state_dict().items())


def test_safetensors_without_the_tied_key(folder: Path, model: FuseLIP) -> None:
    loaded = load(folder)
    assert same(model, loaded)
    assert loaded.mask_prediction_head.decoder.weight is loaded.token_embedding.weight


@pytest.mark.parametrize("legacy_format", [False, True])
def test_pytorch_file_in_the_official_layout(tmp_path: Path, model: FuseLIP, legacy_format: bool) -> None:
    folder = write_checkpoint(tmp_path / "official", replace(model.config, padding="id"), model.state_dict())
    (folder / "model.safetensors").unlink()
    state = dict(model.state_dict())
    for part in ("decoder.mask_token", "pixel_quantize.embedding.weight", "pixel_decoder.conv_in.weight"):
        state[f"image_tokenizer.model.{part}"] = torch.zeros(3)
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy_format)
    loaded = load(folder)
    assert same(model, loaded)
    assert loaded.config.padding == "id"


def test_half_precision_files_are_read_as_fp32(tmp_path: Path, model: FuseLIP) -> None:
    state = {key: tensor.bfloat16() for key, tensor in model.state_dict().items()}
    loaded = load(write_checkpoint(tmp_path / "half", model.config, state))
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}


def test_mask_free_model(tmp_path: Path, tiny_config: FuseLIPConfig) -> None:
    config = replace(tiny_config, mask_token=False, mlm_probability=0.0)
    model = random_model(config, 0)[0]
    assert not any("mask_prediction" in key for key in model.state_dict())
    loaded = load(write_checkpoint(tmp_path / "plain", config, model.state_dict()))
    assert loaded.config == config
    assert (config.image_offset, config.vocab_size) == (49408, 49408 + 64)


class Mischief:
    """An object whose unpickling would run a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("legacy_format", [False, True])
def test_pickled_objects_are_refused_and_not_run(folder: Path, tmp_path: Path, legacy_format: bool) -> None:
    (folder / "model.safetensors").unlink()
    harm = tmp_path / "harm"
    torch.save({"a": Mischief(harm)}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy_format)
    with pytest.raises(UserError, match=r"refused.*Nothing was run"):
        load(folder)
    assert not harm.exists()


@pytest.mark.filterwarnings("ignore:.*TorchScript")
def test_torchscript_archives_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("model/constants.pkl", b"")  # by which torch knows a file of code
    with pytest.raises(UserError, match=r"no checkpoint"):
        load(folder)


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_cut_files(folder: Path, model: FuseLIP, name: str, keep: int) -> None:
    (folder / "model.safetensors").rename(folder / "kept")
    if name == "pytorch_model.bin":
        torch.save(model.state_dict(), folder / "kept")
    (folder / name).write_bytes((folder / "kept").read_bytes()[:keep])
    with pytest.raises(UserError, match=f"{name} (is damaged, cut short|holds pickled)"):
        load(folder)


def test_wrong_tensors_are_named(folder: Path, model: FuseLIP) -> None:
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("head.decoder.weight")}
    state["positional_embedding"] = torch.zeros(77, 32)
    state["text_projection"] = torch.zeros(32, 32)
    del state["ln_final.bias"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UserError) as caught:
        load(folder)
    told = str(caught.value)
    assert "1 missing (ln_final.bias)" in told
    assert "1 unexpected (text_projection)" in told
    assert "1 of another shape (positional_embedding [77, 32], not [180, 32])" in told


def test_untied_and_integer_tensors(folder: Path, model: FuseLIP) -> None:
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state["mask_prediction_head.decoder.weight"] += 1
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UserError, match="one tensor in this model"):
        load(folder)
    save_file({"logit_scale": torch.tensor(1)}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"logit_scale holds torch\.int64"):
        load(folder)


def test_not_a_table_of_tensors(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"state_dict": {"a": torch.zeros(1)}, "epoch": 3}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="not a plain table of tensors"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_name": "ViT-B-32"}, "model_name"),
        ({"image_tokenizer": "someone/else"}, "image_tokenizer"),
        ({"transformer_size": "../../gigantic"}, "transformer_size"),
        ({"transformer_size": ["small"]}, "transformer_size"),
        ({"context_length": 10**12}, "context_length"),
        ({"context_length": "180"}, "context_length"),
        ({"mlm_probability": None}, "mlm_probability"),
        ({"mlm_probability": float("nan")}, "mlm_probability"),
        ({"mask_pad": False}, "mask_pad"),
        ({"use_eoi": True}, "use_eoi"),
        ({"padding": "sideways"}, "padding"),
        ({"text_config": {"width": 4096}}, "width"),
        ({"text_config": [1]}, "text_config"),
    ],
)
def test_wrong_configurations(change: dict[str, Any], word: str) -> None:
    value = MODELS["fuselip-s"].config.to_json() | change
    with pytest.raises(UserError, match=word):
        FuseLIPConfig.from_json(value)


def test_unreadable_configurations(folder: Path) -> None:
    for data, told in ((b"{", "not valid JSON"), (b"[1]", "model_name"), (b" " * (2 << 20), "over 1 MiB")):
        (folder / "config.json").write_bytes(data)
        with pytest.raises(UserError, match=told):
            load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match="missing"):
        load(folder)


def test_a_resaved_official_configuration_keeps_its_mask_token() -> None:
    value = MODELS["fuselip-b"].config.to_json() | {"mlm_probability": 0.0}
    config = FuseLIPConfig.from_json(json.loads(json.dumps(value)))
    assert config.mask_token
    assert config.vocab_size == 57601


@pytest.mark.parametrize("name", sorted(MODELS))
def test_configurations_survive_the_round_trip(name: str) -> None:
    base = MODELS[name].config
    paddings = [] if isinstance(base, TokLIPConfig) else ["length", "id"]
    for config in [base, *(replace(base, padding=padding) for padding in paddings)]:
        assert config_from_json(json.loads(json.dumps(config.to_json()))) == config
