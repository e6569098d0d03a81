"""What a model card is made from: the folders of training runs (a run's legs) and of benchmark runs, read as data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import read_json, sha256_file
from fuselip.train.config import Train, from_json

RUN_FILE, LOG_FILE, MODEL, CHECKPOINTS = "run.json", "metrics.jsonl", "model", "checkpoints"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
SUMMARY_SCHEMA = 1  # of `fuselip-bench run`
HOOK = "hook/"


@dataclass(frozen=True)
class Leg:
    """One training run. `begun`: where its weights came from, "" from scratch; `begun_at`: a step of the leg before."""

    folder: Path
    config: Train
    world: int
    device: str
    provenance: Mapping[str, Any]
    log: Sequence[Mapping[str, float]]
    begun: str
    begun_at: int | None

    @property
    def windows(self) -> list[Mapping[str, float]]:
        """The rows of steps, without the measurements between them."""
        return [row for row in self.log if "loss" in row]

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return int(self.windows[-1]["step"])

    @property
    def pairs(self) -> int:
        """Pairs seen, over all processes."""
        return round(sum(row["pairs"] for row in self.windows))

    @property
    def seconds(self) -> float:
        """Of steps alone: without saving and measuring."""
        return sum(row["pairs"] / row["pairs_per_second"] for row in self.windows)

    @property
    def measured(self) -> list[tuple[int, float]]:
        """(step, mean) of the measurements during training."""
        return [(int(row["step"]), row[f"{HOOK}mean"]) for row in self.log if f"{HOOK}mean" in row]


@dataclass(frozen=True)
class Scores:
    """A finished benchmark run. `tasks`: its results as they were written."""

    suite: str
    source: str
    precision: str
    seed: Any
    version: str
    tasks: Sequence[Mapping[str, Any]]


def read_legs(folders: Sequence[Path]) -> list[Leg]:
    """Raises UsageError for no folder, UserError naming the file that is no training run's."""
    if not folders:
        raise UsageError("name the folder of a training run; of several legs, all, in their order")
    legs: list[Leg] = []
    for folder in folders:
        leg = _leg(folder, legs[-1] if legs else None)
        if leg.begun_at is not None:  # what the leg before learned after that is in no weights
            legs[-1] = replace(legs[-1], log=_until(leg.begun_at, legs[-1].log))
        legs.append(leg)
    if len({leg.config.model for leg in legs}) > 1:
        raise UsageError(f"legs of different models: {', '.join(leg.config.model for leg in legs)}")
    return legs


def weights_of(leg: Leg) -> Path:
    """The folder of the model that a run left, or of its newest checkpoint. Raises UserError where it left neither."""
    folders = [leg.folder / MODEL, *reversed(_checkpoints(leg.folder))]
    for folder in folders:
        if all((folder / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE)):
            return folder
    raise UserError(f"{leg.folder} holds no model yet (step {leg.steps} of {leg.config.steps}); its command goes on")


def read_scores(folder: Path, sha256: str) -> Scores:
    """Raises UserError for what is no finished benchmark run, and for one of other weights than those of `sha256`."""
    path = folder / "summary.json"
    if not path.is_file():
        raise UserError(f"{folder} is no finished run of fuselip-bench: it has no {path.name}")
    value = read_json(path)
    try:
        if value["schema"] != SUMMARY_SCHEMA:
            raise UserError(f"{path} is of schema {value['schema']!r}, not {SUMMARY_SCHEMA}; another version wrote it")
        weights, config, tasks = value["weights"] or {}, value["config"], value["tasks"]
        for task in tasks:
            if not all(isinstance(task[key], str) for key in ("name", "metric")):
                raise TypeError("a task without a name")
            if not all(_is_number(task[key]) for key in ("value", "low", "high", "chance", "n")):
                raise TypeError(f"{task['name']} without its numbers")
        if weights.get("sha256") != sha256:
            raise UserError(
                f"{path} tells the scores of other weights (sha256 {weights.get('sha256')}) than the run's ({sha256}); "
                "run fuselip-bench with --weights RUN/model"
            )
        precision, version = str(value["model"]["precision"]), str(value["provenance"]["fuselip"])
        return Scores(
            str(config.get("suite") or ""), str(config.get("source") or ""), precision, config["seed"], version, tasks
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no summary of fuselip-bench ({error}); it was edited or is damaged") from error


def _leg(folder: Path, before: Leg | None) -> Leg:
    path = folder / RUN_FILE
    if not path.is_file():
        raise UserError(f"{folder} is no training run: it has no {RUN_FILE}; name what `fuselip train --out` wrote")
    value = read_json(path)
    try:
        config, made = from_json(value["config"], str(path)), dict(value["provenance"])
        world, device = int(value["world"]), str(value.get("device") or f"cpu: {made['cpu']}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is not what a run writes ({error}); it was edited or is damaged") from error
    log: Sequence[Mapping[str, float]] = _log(folder / LOG_FILE)
    saved = _checkpoints(folder)
    if saved and not (folder / MODEL).is_dir():  # stopped: what came after its checkpoint is in no weights
        log = _until(int(saved[-1].name[5:]), log)
    if not any("loss" in row for row in log):
        raise UserError(f"{folder / LOG_FILE} tells of no step; the run has not begun")
    return Leg(folder, config, world, device, made, log, *_begun(config, before))


def _until(step: int, log: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    return [row for row in log if row["step"] <= step]


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted((folder / CHECKPOINTS).glob("step-" + 8 * "[0-9]"))


def _log(path: Path) -> list[dict[str, float]]:
    """The rows; a last line that a killed run left half-written is passed over."""
    rows = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not all(_is_number(found) for found in row.values()) or "step" not in row:
                raise ValueError
            if "loss" in row and not (row["pairs"] > 0 and row["pairs_per_second"] > 0):
                raise ValueError
        except (ValueError, KeyError, AttributeError):
            if number == len(lines):
                break
            raise UserError(f"{path}, line {number}: no row of figures; it was edited or is damaged") from None
        rows.append(row)
    return rows


def _begun(config: Train, before: Leg | None) -> tuple[str, int | None]:
    """Where a leg's weights came from, told by content: folders are copied and renamed."""
    init, distil = config.init, config.distil
    if not init and distil.teacher and distil.start:
        return f"what fits of the teacher, {Path(distil.teacher).name}", None
    file = Path(init).expanduser() / WEIGHTS_FILE
    if not init or not file.is_file():
        return init if init.startswith("hf:") else Path(init).name, None
    digest = sha256_file(file)
    folders = [] if before is None else [before.folder / MODEL, *_checkpoints(before.folder)]
    for folder in folders:
        if (folder / WEIGHTS_FILE).is_file() and sha256_file(folder / WEIGHTS_FILE) == digest:
            assert before is not None
            step = before.steps if folder.name == MODEL else int(folder.name[5:])
            return f"the leg before, after step {step:,}", step
    return f"weights with sha256 {digest}", None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
