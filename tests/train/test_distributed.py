"""Several gloo processes with unequal batches: the loss and the gradient of one process; whole runs in both layouts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small
import torch
from safetensors.torch import load_file
from test_loop import ROOT, rows, run, start

from fuselip.train.state import checkpoints, newest

SCRIPT = """
import os, sys, torch, small, handmade
from safetensors.torch import save_file
from fuselip.model.models import model_of
from fuselip.model.random_init import random_model
from fuselip.train import step
from fuselip.train.config import Loss, Train
from fuselip.train.gather import peers_of_environment
from fuselip.train.masking import IGNORED, Masked
from fuselip.train.parallel import sum_gradients

torch.set_num_threads(1)
small.register()

def by_content(ids, lengths, config, **_):
    "Hides the same tokens however the batch is split."
    hidden = (ids % 5 == 3) & (ids != config.eot_id) & (ids != config.sot_id)
    return Masked(ids.masked_fill(hidden, config.mask_id), ids.masked_fill(~hidden, IGNORED))

step.mask = by_content
name, out, chunk, sizes = sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(size) for size in sys.argv[4:]]
with peers_of_environment() as peers:
    assert peers.world == len(sizes), os.environ
    model, _ = random_model(model_of(name).config, 0)
    settings = Train(name, 1, sum(sizes), chunk_pairs=chunk, loss=Loss(mask_equal_rights=True))
    stepper = step.Stepper(model, settings, peers, torch.device("cpu"))
    whole, begin = handmade.batch(model.config, sum(sizes), 4), sum(sizes[: peers.rank])
    mine = handmade.rows(whole, slice(begin, begin + sizes[peers.rank]))
    shares = peers.sum(stepper.gradients(mine, 0, sizes))
    for parameter in stepper.parameters.values():
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    sum_gradients(stepper.parameters.values(), peers)
    if peers.first:
        save_file({n: p.grad for n, p in stepper.parameters.items()} | {"shares": shares}, out)
"""


DOUBLE = """
model = model.double()
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
"""


def gradients(
    folder: Path, name: str, sizes: list[int], chunk: int = 0, *, double: bool = False
) -> dict[str, torch.Tensor]:
    script, out = folder / "gradients.py", folder / f"{name}-{len(sizes)}.safetensors"
    script.write_text(
        SCRIPT.replace("settings = Train", f"{DOUBLE.strip()}\n    settings = Train") if double else SCRIPT
    )
    paths = [str(ROOT), *(str(ROOT / "tests" / part) for part in ("train", "model"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(len(sizes))]
    command = [*(many if len(sizes) > 1 else []), str(script), name, str(out), str(chunk), *map(str, sizes)]
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return load_file(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sizes", "chunk"),
    [(small.NAME, [2, 7], 0), (small.NAME, [1, 5, 3], 2), ("small-sf", [5, 1, 3], 0), ("small-mlf", [2, 7], 0)],
)
def test_unequal_processes_give_the_gradient_of_one(tmp_path: Path, name: str, sizes: list[int], chunk: int) -> None:
    wanted = gradients(tmp_path, name, [sum(sizes)])
    found = gradients(tmp_path, name, sizes, chunk)
    torch.testing.assert_close(found.pop("shares"), wanted.pop("shares"), rtol=1e-6, atol=1e-12)
    norm = torch.stack([tensor.norm() for tensor in wanted.values()]).norm()
    apart = torch.stack([(found[key] - tensor).norm() for key, tensor in wanted.items()]).norm()
    assert float(apart / norm) <= 1e-6


@pytest.mark.slow
def test_cached_gradients_of_processes_are_exact(tmp_path: Path) -> None:
    """In fp32, where cut batches sum in another order, MLF is 1.3e-6 apart; in fp64 nothing but rounding is left."""
    wanted = gradients(tmp_path, "small-mlf", [9], double=True)
    found = gradients(tmp_path, "small-mlf", [2, 7], 2, double=True)
    for key, tensor in wanted.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-9, atol=1e-12, msg=key)


@pytest.mark.slow
def test_sharded_and_whole_models_train_alike(tmp_path: Path) -> None:
    """Two processes, one model each or its blocks split: the same weights but for rounding, resumable from either."""
    settings = ["chunk_pairs=2", "optim.lr=1e-3"]
    for layout in ("ddp", "fsdp"):
        run(tmp_path / layout, f"parallel={layout}", *settings, processes=2)
    ddp, fsdp = (load_file(tmp_path / layout / "model" / "model.safetensors") for layout in ("ddp", "fsdp"))
    assert ddp.keys() == fsdp.keys()
    for name, tensor in ddp.items():
        torch.testing.assert_close(fsdp[name], tensor, rtol=0, atol=2e-4, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "all_of_them"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)]
)
def test_a_signal_to_torchrun_saves_the_step_under_way(tmp_path: Path, number: int, all_of_them: bool) -> None:
    """torchrun passes on what it is sent; where its processes were sent it as well, each gets two."""
    out = tmp_path / "out"
    process = start(out, "batches=handmade:slowly", "save_every=100", "steps=500", processes=2)
    deadline = time.monotonic() + 200
    while not (out / "metrics.jsonl").is_file() or len(rows(out)) < 4:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not listed.is_file():
        process.kill()
        pytest.skip("this system does not list a process's children")
    for child in map(int, listed.read_text().split() if all_of_them else []):
        os.kill(child, number)
    process.send_signal(number)
    told, _ = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "all is saved" in told, told
    (saved,) = checkpoints(out / "checkpoints")
    assert int(saved.name.removeprefix("step-")) == rows(out)[-1]["step"] >= 4
    found = newest(out / "checkpoints", pytest.fail)
    assert found is not None
    assert len(found.data) == 2
