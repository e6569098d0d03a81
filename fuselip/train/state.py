"""Checkpoints of a run: a folder that models load from, with the optimizer's state beside it; whole or absent."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fuselip.core.errors import UserError
from fuselip.core.files import explain, fsync_folder, read_json, sha256_file, write_bytes, write_json
from fuselip.model.checkpoints import (
    CONFIG_FILE,
    WEIGHT_FILES,
    Network,
    blank,
    fill,
    load_model,
    read_config,
    save_model,
)
from fuselip.train.parallel import put, whole
from fuselip.train.step import Stepper

OPTIMIZER_FILE, STATE_FILE = "optimizer.safetensors", "state.json"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_FOLDER = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Saved:
    """A checkpoint whose files are what was written. `step`: optimizer steps taken; `data`: one state a process."""

    folder: Path
    step: int
    data: list[Any]
    scaler: dict[str, Any]


def save_checkpoint(root: Path, stepper: Stepper, step: int, data: Any, keep: int) -> Path:
    """Write `root`/step-N and delete all but the last `keep`; called by all processes, written by the first.

    All draws follow from the seed and the step, so there is no generator whose state would have to be kept.
    """
    peers, folder = stepper.peers, root / f"step-{step:08d}"
    weights = {name: whole(tensor).detach() for name, tensor in stepper.model.state_dict().items()}
    moments = dict(_moments(stepper))
    states = peers.gather(data)
    if peers.first:
        try:
            _write(folder, stepper, step, weights, moments, states)
            _rotate(root, keep)
        except OSError as error:
            raise explain(error, folder) from error
    peers.barrier()
    return folder


def newest(root: Path, say: Callable[[str], None]) -> Saved | None:
    """The newest checkpoint that is whole; damaged ones are told and passed over. None where there is none at all.

    Raises UserError where all are damaged.
    """
    problems = []
    for folder in reversed(checkpoints(root)):
        problem = _problem(folder)
        if problem is None:
            value = read_json(folder / STATE_FILE)
            return Saved(folder, value["step"], value["data"], value["scaler"])
        problems.append(f"{folder}: {problem}")
        say(f"passed over a damaged checkpoint, {problems[-1]}")
    if problems:
        raise UserError(f"no checkpoint of this run is whole: {'; '.join(problems)}. Start again in another --out")
    return None


def checkpoints(root: Path) -> list[Path]:
    """Checkpoint folders, oldest first."""
    if not root.is_dir():
        return []
    return sorted(
        (path for path in root.iterdir() if _FOLDER.fullmatch(path.name)), key=lambda path: int(path.name[5:])
    )


def model_of_checkpoint(folder: Path) -> Network:
    return load_model(read_config(folder), folder / WEIGHT_FILES[0])


def load_optimizer(saved: Saved, stepper: Stepper) -> None:
    """Put a checkpoint's optimizer state into a fresh stepper whose model came from that checkpoint."""
    path = saved.folder / OPTIMIZER_FILE
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); delete {saved.folder} to go on from the one before"
        ) from error
    expected = {f"{name}/{moment}" for name in stepper.parameters for moment in _MOMENTS}
    if expected ^ found.keys() and found:
        raise UserError(f"{path} belongs to another model ({min(expected ^ found.keys())} is in one of the two only)")
    for name, parameter in stepper.parameters.items() if found else ():
        state = {"step": torch.tensor(float(saved.step), device=stepper.device)}
        for moment in _MOMENTS:
            state[moment] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            put(state[moment], found[f"{name}/{moment}"])
        stepper.optimizer.state[parameter] = state
    if saved.scaler:
        stepper.scaler.load_state_dict(saved.scaler)


def _moments(stepper: Stepper) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in stepper.parameters.items():
        for moment in _MOMENTS if parameter in stepper.optimizer.state else ():
            yield f"{name}/{moment}", whole(stepper.optimizer.state[parameter][moment]).cpu().contiguous()


def _write(
    folder: Path, stepper: Stepper, step: int, weights: dict[str, Tensor], moments: dict[str, Tensor], data: list[Any]
) -> None:
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model = blank(stepper.model.config)
    fill(model, weights)
    save_model(model, partial)
    write_bytes(partial / OPTIMIZER_FILE, save(moments))
    names = (WEIGHT_FILES[0], CONFIG_FILE, OPTIMIZER_FILE)
    value = {
        "step": step,
        "data": data,
        "scaler": stepper.scaler.state_dict(),
        "sha256": {name: sha256_file(partial / name) for name in names},
    }
    write_json(partial / STATE_FILE, value)
    if folder.exists():  # of a run that was resumed from before it, or damaged
        shutil.rmtree(folder)
    partial.rename(folder)
    fsync_folder(folder.parent)


def _rotate(root: Path, keep: int) -> None:
    """Delete old checkpoints; those kept are the newest that are whole, so the last good one always stays."""
    for partial in root.glob(".step-*.part"):
        shutil.rmtree(partial, ignore_errors=True)
    for folder in checkpoints(root)[:-keep]:
        shutil.rmtree(folder)


def _problem(folder: Path) -> str | None:
    """What is wrong with a checkpoint, None where nothing is."""
    try:
        value = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        for name, wanted in value["sha256"].items():
            if Path(name).name != name or sha256_file(folder / name) != wanted:
                return f"{name} is not what was written"
        if not isinstance(value["step"], int) or not isinstance(value["data"], list):
            return f"{STATE_FILE} is damaged"
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None
