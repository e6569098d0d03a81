"""Saving, publishing and reading back: the same vectors, an honest card, the hub's answers in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from upload_server import COMMIT, TOKEN, Uploads, serve_uploads

import fuselip
from fuselip.core.errors import UsageError
from fuselip.core.files import sha256_file
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.pretrained import from_pretrained

SCRIPT = Path(__file__).parent / "push_in_process.py"
TEXTS = ["a cat", "two dogs | and a bird"]


@pytest.mark.parametrize("name", [tiny.NAME, *tiny.LATE_TINY])
def test_there_and_back(tiny_config: FuseLIPConfig, tiny_late: None, tmp_path: Path, name: str) -> None:
    encoder = fuselip.load(name, weights="random", seed=3, device="cpu")
    folder = encoder.save_pretrained(tmp_path / "mine")
    again = from_pretrained(folder, device="cpu")
    assert again.info.name == name
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    np.testing.assert_array_equal(
        fuselip.load(name, weights=str(folder), device="cpu").encode(TEXTS), again.encode(TEXTS)
    )
    before = (folder / "model.safetensors").read_bytes()
    again.save_pretrained(folder)  # over the files that it was read from
    assert (folder / "model.safetensors").read_bytes() == before


def test_the_card_says_where_the_numbers_come_from(tiny_config: FuseLIPConfig, tmp_path: Path) -> None:
    folder = fuselip.load(tiny.NAME, weights="random", seed=3, device="cpu").save_pretrained(tmp_path / "mine")
    card = (folder / "README.md").read_text()
    assert f"# {tiny.NAME} [random init]" in card
    assert "RANDOM weights (seed 3)" in card
    assert sha256_file(folder / "model.safetensors") in card
    config = card.partition("```json\n")[2].partition("```")[0]
    assert json.loads(config) == json.loads((folder / "config.json").read_text()) == tiny_config.to_json()
    again = from_pretrained(folder, device="cpu").save_pretrained(tmp_path / "copy")
    assert "random init" not in (again / "README.md").read_text()
    assert f"weights from the folder {folder}" in (again / "README.md").read_text()


def test_what_cannot_be_saved_or_read(tiny_config: FuseLIPConfig, tmp_path: Path) -> None:
    rounded = fuselip.load(tiny.NAME, weights="random", device="cpu", precision="bf16")
    with pytest.raises(UsageError, match="precision fp32"):
        rounded.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="neither a checkpoint folder"):
        from_pretrained(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        fuselip.load(tiny.NAME, weights="random", device="cpu").save_pretrained(tmp_path / "file")


def push(uploads: Uploads, folder: Path, home: Path, repo: str, how: str, **environment: str) -> dict[str, Any]:
    """What `push_to_hub` says, in a process that knows no hub but this one."""
    path = os.pathsep.join([str(SCRIPT.parents[2]), str(SCRIPT.parent)])
    given = {"HF_ENDPOINT": uploads.url, "HF_HOME": str(home), "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
    given |= {"PYTHONPATH": path, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), repo, how],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_publishing(tiny_config: FuseLIPConfig, tmp_path: Path) -> None:
    folder = fuselip.load(tiny.NAME, weights="random", device="cpu").save_pretrained(tmp_path / "mine")
    with serve_uploads(Uploads()) as uploads:
        assert push(uploads, folder, tmp_path, "owner/mine", "private") == {"commit": COMMIT}
        assert uploads.private == {"owner/mine": True}
        files = uploads.files["owner/mine"]
        assert files.keys() == {"config.json", "model.safetensors", "README.md"}
        for name in ("config.json", "model.safetensors"):
            assert files[name] == (folder / name).read_bytes()
        assert uploads.messages == [f"Upload {tiny.NAME}"]
        again = push(uploads, folder, tmp_path, "owner/mine", "public")
        assert again == {"commit": COMMIT}
        assert uploads.private == {"owner/mine": True}
        refused = push(uploads, folder, tmp_path, "owner/mine", "public", HF_TOKEN="hf_another")
        assert "status 401" in refused["error"]
        assert "HF_TOKEN" in refused["error"]
        assert "is not the name" in push(uploads, folder, tmp_path, "a/b/c", "public")["error"]
        assert "nothing is sent" in push(uploads, folder, tmp_path, "owner/mine", "public", HF_HUB_OFFLINE="1")["error"]
