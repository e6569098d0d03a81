"""TokLIP's published files read without running them; the image tower saved alone; downloads after a notice."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import drawn
from hub_server import COMMIT, Hub, serve
from toklip_tiny import NAMES, OFFICIAL, published, registered, whole, write

import fuselip
from fuselip.core.errors import UsageError, UserError
from fuselip.model import hub as client
from fuselip.model.checkpoints import read_config, save_model
from fuselip.model.toklip_checkpoint import load_official, save_vision
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.model.weights import find, load_weights


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    with registered():
        yield


@pytest.mark.parametrize("name", NAMES)
def test_the_published_layout_loads_back(name: str, tmp_path: Path) -> None:
    model = whole(name)
    path = write(tmp_path / "TokLIP.pt", published(model))
    loaded, record = load_weights(name, str(path))
    assert (record.source, record.location) == ("local", str(path))
    kept = loaded.state_dict()
    there = model.state_dict()
    assert {key: tensor for key, tensor in there.items() if key not in kept}.keys() == {
        key for key in there if any(part in key for part in ("vq.decoder", "vq.post_quant", "codebook_used"))
    }
    assert all(torch.equal(tensor, there[key]) for key, tensor in kept.items() if key != "logit_bias")
    pixels = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(loaded.image_embedding(pixels), model.image_embedding(pixels), atol=1e-5, rtol=1e-4)
    save_model(loaded, tmp_path / "ours")
    again = fuselip.load(name, weights=str(tmp_path / "ours"), device="cpu")
    first = fuselip.load(name, weights=str(path), device="cpu")
    values = ["a cat", drawn("rings"), (drawn("plaid"), "flip")]
    np.testing.assert_array_equal(again.encode(values), first.encode(values))


def test_the_image_tower_alone(tmp_path: Path) -> None:
    name = "toklip-tiny"
    path = write(tmp_path / "TokLIP.pt", published(whole(name)))
    full = fuselip.load(name, weights=str(path), device="cpu")
    save_vision(load_official(TokLIPConfig(name), path), tmp_path / "vision")
    assert read_config(tmp_path / "vision") == TokLIPConfig(name, with_text=False)
    alone = fuselip.load(name, weights=str(tmp_path / "vision"), device="cpu")
    assert alone.info.settings["text_tower"] is False
    np.testing.assert_array_equal(alone.encode([drawn("rings")]), full.encode([drawn("rings")]))
    assert (tmp_path / "vision" / "model.safetensors").stat().st_size < path.stat().st_size / 2
    for value in ("a cat", (drawn("rings"), "flip")):
        with pytest.raises(UserError, match="image tower alone"):
            alone.encode([value])


class _Runs:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_other_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    content = published(whole("toklip-tiny"))
    for extra in (argparse.Namespace(lr=1), _Runs(tmp_path / "made"), np.array([1, 2])):
        path = write(tmp_path / "TokLIP.pt", content | {"args": extra})
        with pytest.raises(UserError, match="pickled objects and was refused"):
            load_official(TokLIPConfig("toklip-tiny"), path)
    assert not (tmp_path / "made").exists()
    before = set(map(str, torch.serialization.get_safe_globals()))
    load_official(TokLIPConfig("toklip-tiny"), write(tmp_path / "TokLIP.pt", content))
    assert set(map(str, torch.serialization.get_safe_globals())) == before


def test_misfits_name_their_tensors(tmp_path: Path) -> None:
    config, content = TokLIPConfig("toklip-tiny"), published(whole("toklip-tiny"))
    state = content["state_dict"]

    def refused(change: dict[str, Any], *gone: str) -> str:
        kept = {key: value for key, value in (state | change).items() if key not in gone}
        with pytest.raises(UserError) as caught:
            load_official(config, write(tmp_path / "TokLIP.pt", content | {"state_dict": kept}))
        return str(caught.value)

    assert "1 missing (visual.trunk.norm.bias)" in refused({}, "module.visual.trunk.norm.bias")
    assert "1 unexpected (visual.trunk.cls_token)" in refused({"module.visual.trunk.cls_token": torch.zeros(1)})
    told = refused({"module.visual.trunk.pos_embed": torch.zeros(1, 25, 32)})
    assert "visual.trunk.pos_embed [1, 25, 32], not [1, 16, 32]" in told
    assert "tiny-vq" in told
    assert "a plain table of tensors" in refused({"module.logit_scale": "ten"})
    (tmp_path / "TokLIP.pt").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(UserError, match="damaged"):
        load_official(config, tmp_path / "TokLIP.pt")
    with pytest.raises(UserError, match="holds no state_dict"):
        load_official(config, write(tmp_path / "list.pt", [1, 2]))
    with pytest.raises(UserError, match=r"does not fit TokLIP 'toklip-tiny-ibq'.*26 missing"):
        load_official(TokLIPConfig("toklip-tiny-ibq"), write(tmp_path / "other.pt", content))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the file, and an empty cache, for the client of this process."""
    from huggingface_hub import constants

    (tmp_path / "repo").mkdir()
    write(tmp_path / "repo" / OFFICIAL.file, published(whole("toklip-tiny")))
    with serve(Hub({OFFICIAL.repo: tmp_path / "repo"})) as running:
        for name, value in {
            "ENDPOINT": running.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": running.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(constants, name, value)
        yield running


def test_nothing_is_downloaded_unasked(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"only when asked for: This file is under the Terms of Test\."):
        find("toklip-tiny")
    with pytest.raises(UserError, match="working offline"):
        find("toklip-tiny", "official", offline=True)
    assert not hub.requests
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError, match="did you mean 'official'"):
        find("toklip-tiny", "offical")


def test_the_licence_is_shown_before_a_download(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    download = client.hf_hub_download

    def noted(*arguments: Any, **options: Any) -> str:
        order.append(capsys.readouterr().err)
        return str(download(*arguments, cache_dir=tmp_path / "cache", **options))

    monkeypatch.setattr(client, "hf_hub_download", noted)
    encoder = fuselip.load("toklip-tiny", weights="official", device="cpu")
    assert order == [f"{OFFICIAL.notice}\n"]
    assert encoder.info.licence == OFFICIAL.licence
    assert encoder.info.weights is not None
    assert (encoder.info.weights.location, encoder.info.weights.revision) == (OFFICIAL.repo, COMMIT)


def test_the_real_notice_names_licence_link_and_region() -> None:
    from fuselip.model.models import MODELS

    for name in ("toklip-s", "toklip-l", "toklip-xl"):
        official = MODELS[name].official
        assert official is not None
        for word in (official.licence, "https://github.com/TencentARC/TokLIP/", "European Union", official.file):
            assert word in official.notice
