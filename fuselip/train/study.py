"""Running a study: every row and seed is a training run in a folder of its own, measured at its end, and kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fuselip.core.errors import UserError
from fuselip.core.files import read_json, write_json
from fuselip.core.plugins import load
from fuselip.core.provenance import provenance
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.models import model_of
from fuselip.train.config import FREE, Hook, Train, changes, flat, from_json, override, to_json
from fuselip.train.data.config import DataConfig, Part
from fuselip.train.data.mixtures import mixture
from fuselip.train.recipes import tiny
from fuselip.train.studies import Row, Study

MEASURES = 4  # of a run, at equal distances, the last at its end
ROW_FILE = "row.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """What all rows of a study share. `data`: a prepared folder ("": made on the fly); `settings` as `--set` takes it.

    `tokenizers`: a folder of trained image tokenizers by name (grid16, ...), for those that the package does not hold.
    `measure`: called by name on a checkpoint; gives {name: value}, and perhaps name/low, name/high and name/chance.
    """

    steps: int
    seeds: tuple[int, ...]
    runs: Path
    data: str = ""
    settings: tuple[str, ...] = ()
    tokenizers: Path | None = None
    measure: str = "benchmarks.study_hook:tgit"


def config_of(row: Row, setup: Setup, seed: int) -> Train:
    """The resolved config of a row. Raises UsageError for settings that do not fit."""
    base = tiny("study", row.model)
    base = replace(
        base,
        steps=setup.steps,
        seed=seed,
        data=DataConfig((Part(setup.data),) if setup.data else mixture("tgit")),
        optim=replace(base.optim, warmup=min(base.optim.warmup, setup.steps // 10)),
        hook=Hook(setup.measure, max(1, setup.steps // MEASURES)),
        image_tokenizer=_tokenizer(row, setup),
    )
    return override(base, [*setup.settings, *row.settings])


def lacking(row: Row, setup: Setup) -> str:
    """Why a row cannot be run as it should be, or "": a model whose image tokenizer nobody has trained."""
    from fuselip.model.image_tokenizers import shipped_file

    config = model_of(row.model).config
    if not isinstance(config, FuseLIPConfig) or shipped_file(config) or _tokenizer(row, setup):
        return ""
    return (
        f"no trained image tokenizer {config.image_tokenizer}: put its weights into a folder of that name under "
        "--tokenizers (fuselip train-tokenizer makes those of grids)"
    )


def run_row(folder: Path, config: Train, say: Say) -> dict[str, Any]:
    """Train and measure one row with one seed, or take what lies in `folder`; {config, scores, curve, seconds, ...}.

    Raises what training raises, and UserError where the measurement gives no numbers.
    """
    path = folder / ROW_FILE
    if path.is_file():
        found = read_json(path)
        if isinstance(found, dict):
            made_with = from_json(found.get("config"), str(path))
            if not changes(made_with, config) and made_with.hook.call == config.hook.call:
                return found
    from fuselip.train.figures import peak_memory
    from fuselip.train.loop import CHECKPOINTS, RUN_FILE, train
    from fuselip.train.start import device_of

    train(config, folder, say)
    log = list(_log(folder))
    begun = read_json(folder / RUN_FILE)["config"]
    same = begun["hook"]["call"] == config.hook.call  # else the log's scores are another measurement's
    curve = {line["step"]: scores for line in log if same and (scores := _hooked(line))}
    if config.steps not in curve:
        checkpoint = folder / CHECKPOINTS / f"step-{config.steps:08d}"
        curve[config.steps] = dict(load(config.hook.call)(checkpoint, config.steps))
    if not curve[config.steps]:
        raise UserError(f"{config.hook.call} measured nothing in {folder}")
    made = {
        "config": to_json(config),
        "scores": curve[config.steps],
        "curve": {str(step): scores for step, scores in sorted(curve.items())},
        "parameters": _trained(folder),
        "pairs": config.steps * config.batch_size,
        "seconds": sum(line["pairs"] / line["pairs_per_second"] for line in log if "pairs_per_second" in line),
        "device": str(device_of(config)),
        "memory_gib": peak_memory() / 2**30,
        "provenance": provenance(),
    }
    write_json(path, made)
    return made


def run_study(
    study: Study, setup: Setup, only: Sequence[str], say: Say, after: Callable[[Mapping[str, Any]], None]
) -> None:
    """Run the rows named in `only` (those that lack nothing), and take those that are done; `after` every run.

    `after` is given {row: {"runs": {seed: what `run_row` gives}, "lacking": why not}}.
    """
    found: dict[str, Any] = {name: {"runs": {}, "lacking": lacking(row, setup)} for name, row in study.rows.items()}
    runs = {(name, seed): config_of(row, setup, seed) for name, row in study.rows.items() for seed in setup.seeds}
    folders = {key: folder_of(setup, config) for key, config in runs.items()}
    done = {folder for folder in folders.values() if (folder / ROW_FILE).is_file()}
    asked = {folders[name, seed] for name, seed in runs if name in only and not found[name]["lacking"]}
    after(found)
    for key in sorted(runs, key=lambda key: folders[key] not in done):
        if folders[key] in done | asked:
            say(f"{key[0]}, seed {key[1]}: {folders[key]}")
            found[key[0]]["runs"][key[1]] = run_row(folders[key], runs[key], say)
            after(found)


def folder_of(setup: Setup, config: Train) -> Path:
    """A run's folder, named by what decides its weights: rows and studies that ask for the same share it."""
    deciding = {key: value for key, value in flat(to_json(config)).items() if key not in FREE}
    told = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", config.model)
    return setup.runs / f"{plain}-{config.steps}-steps-seed-{config.seed}-{told[:12]}"


def _tokenizer(row: Row, setup: Setup) -> str:
    config = model_of(row.model).config
    if setup.tokenizers is None or not isinstance(config, FuseLIPConfig):
        return ""
    folder = setup.tokenizers / config.image_tokenizer
    return str(folder) if folder.is_dir() else ""


def _log(folder: Path) -> Iterator[dict[str, Any]]:
    from fuselip.train.log import LOG_FILE

    for line in (folder / LOG_FILE).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _hooked(line: Mapping[str, Any]) -> dict[str, float]:
    return {key.removeprefix("hook/"): value for key, value in line.items() if key.startswith("hook/")}


def _trained(folder: Path) -> int:
    """Parameters that training changes: all but the frozen image tokenizer's."""
    from safetensors import safe_open

    from fuselip.model.checkpoints import WEIGHT_FILES
    from fuselip.model.image_tokenizers import PREFIX
    from fuselip.train.loop import MODEL

    with safe_open(folder / MODEL / WEIGHT_FILES[0], "pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys() if not key.startswith(PREFIX)]  # noqa: SIM118
    total = 0
    for shape in shapes:
        count = 1
        for each in shape:
            count *= each
        total += count
    return total
