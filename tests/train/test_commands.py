"""`fuselip embed`, `info` and `convert` on small checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.numpy import load_file

from fuselip.cli import main
from fuselip.commands.embed import read_table
from fuselip.core.errors import UserError
from fuselip.model.checkpoints import save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.encoder import load
from fuselip.model.random_init import random_model


@pytest.fixture
def checkpoint(small_config: FuseLIPConfig, tmp_path: Path) -> Path:
    save_model(random_model(small_config, 3)[0], tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_embedding_a_table(checkpoint: Path, tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 10), "red")
    picture.save(tmp_path / "red.png")
    (tmp_path / "rows.jsonl").write_text(
        '{"text": "a cat"}\n\n{"image": "red.png"}\n{"image": "red.png", "text": "x"}\n'
    )
    (tmp_path / "rows.csv").write_text("image,text\n,a cat\nred.png,\nred.png,x\n")
    wanted = load(small.NAME, weights=str(checkpoint)).encode(["a cat", picture, (picture, "x")])
    options = ["--model", small.NAME, "--weights", checkpoint, "--device", "cpu"]
    assert call("embed", tmp_path / "rows.jsonl", tmp_path / "out.npy", *options).exit_code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, atol=1e-6)
    assert call("embed", tmp_path / "rows.csv", tmp_path / "out.safetensors", *options).exit_code == 0
    np.testing.assert_allclose(load_file(tmp_path / "out.safetensors")["embeddings"], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"image": "../secret.png"}', "outside"),
        ('{"image": "absent.png"}', "no image"),
        ('{"text": ""}', "needs a text"),
        ('{"text": 3}', "needs a text"),
        ("{", "not JSON"),
        ("[1]", "not a table"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "rows.jsonl").write_text('{"text": "good"}\n' + line)
    with pytest.raises(UserError, match=f"row 2.*{message}"):
        list(read_table(tmp_path / "t" / "rows.jsonl", tmp_path / "t"))


def test_there_and_back(checkpoint: Path, tmp_path: Path, small_config: FuseLIPConfig) -> None:
    assert call("convert", checkpoint, tmp_path / "official", "--to", "pytorch").exit_code == 0
    state = torch.load(tmp_path / "official" / "pytorch_model.bin", weights_only=True)
    assert torch.equal(state["mask_prediction_head.decoder.weight"], state["token_embedding.weight"])
    assert call("convert", tmp_path / "official", tmp_path / "back", "--to", "safetensors").exit_code == 0
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "back" / name).read_bytes() == (checkpoint / name).read_bytes()
    assert call("convert", checkpoint, tmp_path / "back", "--to", "pytorch").exit_code == 2


def test_info_of_a_folder(checkpoint: Path) -> None:
    found = json.loads(call("info", checkpoint, "--json").stdout)
    assert found["model"] == small.NAME
    assert len(found["sha256"]) == 64
    assert 0 < found["trained"] < found["parameters"]
    assert "fuselip-s" in call("info").stdout
    assert call("info", "fuselip-x").exit_code == 2
