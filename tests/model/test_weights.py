"""Where weights come from: the hub's real client against a server in the hub's layout, no network, local folders."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from hub_server import COMMIT, TOKEN, Hub, serve

from fuselip.core.errors import UsageError, UserError
from fuselip.model.random_init import random_model
from fuselip.model.weights import find, load_weights, trained_at_hand

FEW_SECONDS = 6.0
SCRIPT = Path(__file__).parent / "load_in_process.py"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    config = tiny.register()
    folder = tmp_path_factory.mktemp("checkpoint")
    yield tiny.write_checkpoint(folder, config, random_model(config, 7)[0].state_dict())
    tiny.unregister()


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path) -> Iterator[Hub]:
    """Holds a good repository (the one `auto` wants), a private one, one without weights, one of another model."""
    bare, other = tmp_path / "bare", tmp_path / "other"
    shutil.copytree(checkpoint, other)
    bare.mkdir()
    (bare / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    value = json.loads((checkpoint / "config.json").read_text())
    value |= {"transformer_size": "small", "text_config": None}
    (other / "config.json").write_text(json.dumps(value))
    repos = {tiny.REPOS["cc12m-mm"]: checkpoint, tiny.REPOS["cc3m-mm"]: checkpoint}
    repos |= {"owner/bare": bare, "owner/other": other}
    with serve(Hub(repos, private={tiny.REPOS["cc3m-mm"]})) as running:
        yield running


def loads(endpoint: str, home: Path, *options: dict[str, Any], **environment: str) -> list[dict[str, Any]]:
    """Each load's outcome, from one process with its hub cache under `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
    result = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps(options)],
        env=kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", **environment},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_auto_downloads_once_then_takes_the_cache(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    (first,) = loads(hub.url, tmp_path / "hf", {})
    assert first["source"] == "hub"
    assert first["revision"] == COMMIT
    assert first["sha256"] == hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    assert "from the hub" in first["note"]
    asked = len(hub.requests)
    again, named, pinned, random = loads(
        hub.url,
        tmp_path / "hf",
        {},
        {"weights": "cc12m-mm"},
        {"weights": f"hf:{tiny.REPOS['cc12m-mm']}@{COMMIT}"},
        {"weights": "random"},
    )
    for told in (again, named, pinned):
        assert (told["source"], told["sha256"]) == ("hub", first["sha256"])
        assert "local hub cache" in told["note"]
    assert len(hub.requests) == asked
    assert random["source"] == "random"
    assert "RANDOM" in random["note"]
    assert "fuselip-tiny --weights cc12m-mm" in random["note"].split("to download")[0]


def test_refusals_are_errors_in_words(hub: Hub, tmp_path: Path) -> None:
    cases = {
        "cc3m-mm": "set HF_TOKEN if it is private",
        "hf:owner/absent": "no repository owner/absent",
        f"hf:{tiny.REPOS['cc12m-mm']}@nowhere": "no revision nowhere",
        "hf:owner/bare": "holds neither",
        "hf:owner/other": "holds another model than fuselip-tiny",
        "hf:not a name": "not the name of a hub repository",
    }
    for told, wanted in zip(
        loads(hub.url, tmp_path / "hf", *({"weights": weights} for weights in cases)), cases.values(), strict=True
    ):
        assert told["source"] == "error"
        assert wanted in told["note"]
    (told,) = loads(hub.url, tmp_path / "hf", {"weights": "cc3m-mm"}, HF_TOKEN=TOKEN)
    assert told["source"] == "hub"


@pytest.mark.parametrize("status", [401, 404, 403, pytest.param(500, marks=pytest.mark.slow)])
def test_auto_never_falls_back_from_a_refusal(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.status = status
    (told,) = loads(hub.url, tmp_path / "hf", {})
    assert told["source"] == "error"
    assert str(status) in told["note"]


def test_auto_never_falls_back_from_a_damaged_file(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(checkpoint, damaged)
    (damaged / "model.safetensors").write_bytes(b"<html>sign in</html>")
    hub.repos[tiny.REPOS["cc12m-mm"]] = damaged
    (told,) = loads(hub.url, tmp_path / "hf", {})
    assert told["source"] == "error"
    assert "damaged" in told["note"]


def test_staying_offline_asks_nothing(hub: Hub, tmp_path: Path) -> None:
    options = {"offline": True}, {"offline": True, "weights": "cc12m-mm"}
    for told in (
        loads(hub.url, tmp_path / "a", *options),
        loads(hub.url, tmp_path / "b", {}, {"weights": "cc12m-mm"}, HF_HUB_OFFLINE="1"),
    ):
        assert told[0]["source"] == "random"
        assert "working offline" in told[0]["note"]
        assert told[1]["source"] == "error"
        assert "not in the hub cache" in told[1]["note"]
    assert not hub.requests


def test_the_cache_serves_where_there_is_no_network(hub: Hub, tmp_path: Path) -> None:
    """cc3m-mm too, where it is the only one there: `auto` asks for no more than that."""
    loads(hub.url, tmp_path / "hf", {"weights": "cc3m-mm"}, HF_TOKEN=TOKEN)
    options = {}, {"weights": f"hf:{tiny.REPOS['cc3m-mm']}"}, {"offline": True}
    for told in loads("http://127.0.0.1:1", tmp_path / "hf", *options):
        assert told["source"] == "hub"
        assert "cc3m" in told["note"]


def unreachable_endpoints() -> Iterator[tuple[str, str]]:
    yield "closed port", "http://127.0.0.1:1"
    yield "unknown name", "http://no-such-host.invalid"


@pytest.mark.parametrize(("endpoint"), [pytest.param(url, id=name) for name, url in unreachable_endpoints()])
def test_no_network(endpoint: str, tmp_path: Path) -> None:
    auto, named, seeded = loads(endpoint, tmp_path / "hf", {}, {"weights": "cc12m-mm"}, {"seed": 3})
    assert auto["source"] == seeded["source"] == "random"
    assert auto["sha256"] != seeded["sha256"]
    assert "no network" in auto["note"]
    assert "--weights cc12m-mm, --weights cc3m-mm" in auto["note"]
    assert named["source"] == "error"
    assert "cannot be downloaded" in named["note"]
    assert max(auto["seconds"], named["seconds"]) < FEW_SECONDS


def test_a_hub_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (told,) = loads(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path / "hf", {})
    assert told["source"] == "random"
    assert told["seconds"] < FEW_SECONDS


def test_local_folders(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, record = load_weights(tiny.NAME, str(checkpoint))
    assert (record.source, record.location) == ("local", str(checkpoint))
    assert record.sha256 == hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    with pytest.raises(UsageError, match="is a file; pass the folder"):
        find(tiny.NAME, str(checkpoint / "model.safetensors"))
    with pytest.raises(UserError, match="holds another model than fuselip-s"):
        load_weights("fuselip-s", str(checkpoint))
    shutil.copytree(checkpoint, tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [entry for entry in trained_at_hand() if "./" in entry] == ["--weights ./mine"]


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="did you mean 'cc12m-mm'"):
        find("fuselip-b", "cc12m")
    with pytest.raises(UsageError, match="did you mean 'fuselip-b'"):
        find("fuselip-bb")
