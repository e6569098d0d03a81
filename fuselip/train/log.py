"""What a run measures: a JSONL file always, TensorBoard and W&B where asked for, and a line for the person watching."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fuselip.core.errors import UserError
from fuselip.core.files import explain, write_bytes
from fuselip.train.config import Train

LOG_FILE = "metrics.jsonl"
SECONDS_BETWEEN_LINES = 2.0


class Log:
    """The log of one run, kept by its first process. Rows after `step`, from before a crash, are cut off."""

    def __init__(self, folder: Path, config: Train, step: int, say: Callable[[str], None]) -> None:
        self._say, self._steps, self._first = say, config.steps, step
        self._began = time.monotonic()
        self._spoke = -math.inf
        self._board = _tensorboard(folder) if config.tensorboard else None
        self._wandb = _wandb(folder, config) if config.wandb else None
        self._path = folder / LOG_FILE
        _cut(self._path, step)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of the steps up to `step` (counted from 1); NaN is left out."""
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        try:
            with open(self._path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": step, **known}) + "\n")
        except OSError as error:
            raise explain(error, self._path) from error
        for name, value in known.items():
            if self._board is not None:
                self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(known, step=step)

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """Loss, throughput and time left, now and then."""
        now = time.monotonic()
        if now - self._spoke < SECONDS_BETWEEN_LINES and step < self._steps:
            return
        self._spoke = now
        left = (now - self._began) / max(1, step - self._first) * (self._steps - step)
        told = [f"step {step}/{self._steps}", f"loss {values['loss']:.4f}"]
        told += [
            f"{name.removeprefix('mask_accuracy_')} tokens {values[name]:.1%}"
            for name in ("mask_accuracy_image", "mask_accuracy_text")
            if math.isfinite(values.get(name, math.nan))
        ]
        told += [f"{values['pairs_per_second']:.1f} pairs/s", f"{_clock(left)} left"]
        self._say("  ".join(told))

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _cut(path: Path, step: int) -> None:
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):  # the last line of a run that was killed while it wrote
            continue
    write_bytes(path, "".join(kept).encode())


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("tensorboard=true needs the package tensorboard: pip install tensorboard") from error
    return SummaryWriter(str(folder / "tensorboard"))


def _wandb(folder: Path, config: Train) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise UserError(f"wandb={config.wandb} needs the package wandb: pip install wandb") from error
    return wandb.init(project=config.wandb, name=config.name or None, dir=str(folder), resume="allow")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
