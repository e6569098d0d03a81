"""Whole runs: killed and resumed to the bit, refused, stopped, logged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import torch

from fuselip.core.errors import UsageError, UserError
from fuselip.model.checkpoints import load_model, read_config, save_model
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train.config import Hook, Optim, Train
from fuselip.train.loop import Interrupted, train
from fuselip.train.state import checkpoints

ROOT = Path(__file__).parents[2]
RUN = """
import sys, small, handmade, torch
from pathlib import Path
from fuselip.core.processes import end
from fuselip.train.config import override
from test_loop import CONFIG
from fuselip.train.loop import train
torch.set_num_threads(1)
small.register()
train(override(CONFIG, sys.argv[2:]), Path(sys.argv[1]), say=lambda line: print(line, flush=True))
end(0)  # as our command line ends
"""
CONFIG = Train(
    model=small.NAME,
    steps=6,
    batch_size=7,
    batches="handmade:batches",
    device="cpu",
    save_every=3,
    log_every=1,
    optim=Optim(lr=1e-2, warmup=2),
)


def start(out: Path, *settings: str, processes: int = 1) -> subprocess.Popen[str]:
    paths = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("train", "model"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    script = out.parent / "run.py"
    script.write_text(RUN)
    launch = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    )
    command = [sys.executable, *launch, str(script), str(out), *settings]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(out: Path, *settings: str, processes: int = 1) -> str:
    process = start(out, *settings, processes=processes)
    told, _ = process.communicate(timeout=240)
    assert process.returncode == 0, told
    return told


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("name", [small.NAME, "small-mlf", small.TOKLIP])
def test_killed_and_resumed_to_the_bit(small_config: FuseLIPConfig, tmp_path: Path, name: str) -> None:
    settings = [f"model={name}", "batches=handmade:slowly"]
    if name == small.TOKLIP:
        save_model(random_model(model_of(small.TEACHER).config, 5)[0], tmp_path / "teacher")
        settings.append(f"distil.teacher={tmp_path / 'teacher'}")
    run(tmp_path / "whole", *settings)
    process = start(tmp_path / "killed", *settings)
    deadline = time.monotonic() + 120
    while len(checkpoints(tmp_path / "killed" / "checkpoints")) < 1 or len(rows(tmp_path / "killed")) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed" / "model").exists()
    told = run(tmp_path / "killed", *settings)
    assert "going on after step 3" in told
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    untimed = [
        [{key: row[key] for key in ("step", "loss", "grad_norm")} for row in rows(tmp_path / out)]
        for out in ("killed", "whole")
    ]
    assert untimed[0] == untimed[1]


def test_a_run_learns_and_leaves_a_model_that_loads(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    told: list[str] = []
    folder = train(replace(CONFIG, steps=30, save_every=10), tmp_path / "out", told.append)
    model = load_model(read_config(folder), folder / "model.safetensors")
    assert model.config == small_config
    losses = [row["loss"] for row in rows(tmp_path / "out")]
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert [path.name for path in checkpoints(tmp_path / "out" / "checkpoints")] == ["step-00000020", "step-00000030"]
    assert any("pairs/s" in line and "left" in line for line in told)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["config"]["optim"]["lr"] == 1e-2
    assert {"mask_accuracy_image", "mask_accuracy_text", "grad_norm", "lr"} <= rows(tmp_path / "out")[-1].keys()


def test_a_finished_run_is_left_as_it_is(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    train(CONFIG, tmp_path / "out")
    before = weights(tmp_path / "out")
    train(replace(CONFIG, log_every=2), tmp_path / "out")
    assert weights(tmp_path / "out") == before


def test_another_config_or_folder_is_refused(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    train(replace(CONFIG, steps=1), tmp_path / "out")
    with pytest.raises(UsageError, match=r"optim\.lr: 0\.01, now 0\.1.*steps: 1, now 6"):
        train(replace(CONFIG, optim=Optim(lr=0.1, warmup=2)), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not empty"):
        train(CONFIG, tmp_path / "mine")


def test_exhausted_data_stops_and_keeps_what_was_learned(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the data ended after 5 of 6 steps"):
        train(replace(CONFIG, batches="handmade:five"), tmp_path / "out")
    assert checkpoints(tmp_path / "out" / "checkpoints")[-1].name == "step-00000005"


def test_no_number_stops_before_it_is_saved(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no number at step \d+ .*optim\.lr"):
        train(replace(CONFIG, steps=30, save_every=1, optim=Optim(lr=1e30, warmup=0)), tmp_path / "out")
    for folder in checkpoints(tmp_path / "out" / "checkpoints"):
        model = load_model(read_config(folder), folder / "model.safetensors")
        assert all(bool(torch.isfinite(p).all()) for p in model.parameters()), folder


def test_damaged_checkpoints_are_passed_over(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    out, told = tmp_path / "out", []
    train(CONFIG, out)
    wanted = weights(out)
    first, last = checkpoints(out / "checkpoints")
    data = bytearray((last / "optimizer.safetensors").read_bytes())
    data[-1] ^= 1
    (last / "optimizer.safetensors").write_bytes(data)
    train(CONFIG, out, told.append)
    assert "passed over a damaged checkpoint" in told[0]
    assert "optimizer.safetensors" in told[0]
    assert "going on after step 3" in told[1]
    assert weights(out) == wanted
    for folder in (first, last):
        (folder / "state.json").write_text("{")
    with pytest.raises(UserError, match="no checkpoint of this run is whole"):
        train(CONFIG, out)


def test_a_signal_saves_and_the_same_command_goes_on(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    train(CONFIG, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(replace(CONFIG, hook=Hook("test_loop:interrupt", 2)), tmp_path / "out")
    assert checkpoints(tmp_path / "out" / "checkpoints")[-1].name == "step-00000002"
    train(CONFIG, tmp_path / "out")
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


def test_a_second_sigterm_changes_nothing(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(replace(CONFIG, hook=Hook("test_loop:terminate_twice", 2)), tmp_path / "out")
    assert checkpoints(tmp_path / "out" / "checkpoints")[-1].name == "step-00000002"
    assert rows(tmp_path / "out")[-1]["hook/done"] == 1


@pytest.mark.slow
def test_a_signal_to_the_whole_group_spares_the_workers(tmp_path: Path) -> None:
    """As Ctrl-C in a terminal and torchrun do: the batches of the step under way are still made."""
    out = tmp_path / "out"
    settings = ["steps=500", "batch_size=8", "device=cpu", "data.workers=1", "log_every=1", "save_every=400"]
    command = [sys.executable, "-m", "fuselip.cli", "train", "ti-siglip-sf", "--out", str(out)]
    command += [f"--set={setting}" for setting in settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 200
    while not (out / "metrics.jsonl").is_file() or len(rows(out)) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=100)[1].decode()
    assert process.returncode == 130, told
    assert "all is saved" in told
    (saved,) = checkpoints(out / "checkpoints")
    assert int(saved.name.removeprefix("step-")) == rows(out)[-1]["step"]


def terminate_twice(folder: Path, step: int) -> dict[str, float]:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    return {"done": 1.0}


def interrupt(folder: Path, step: int) -> dict[str, float]:
    os.kill(os.getpid(), signal.SIGINT)
    return {"files": float(len(list(folder.iterdir())))}


def test_the_hook_is_logged(small_config: FuseLIPConfig, tmp_path: Path) -> None:
    train(replace(CONFIG, hook=Hook("test_loop:measure", 2)), tmp_path / "out")
    assert [row["hook/step"] for row in rows(tmp_path / "out") if "hook/step" in row] == [2, 4, 6]


def measure(folder: Path, step: int) -> dict[str, float]:
    assert read_config(folder)
    return {"step": float(step)}
