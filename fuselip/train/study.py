"""Running a study: every row and seed is a training run in a folder of its own, measured at its end, and kept.

Rows of shipped weights alone are measured without training, once: no seed changes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fuselip.core.errors import UserError
from fuselip.core.files import read_json, sha256_file, write_json
from fuselip.core.plugins import load
from fuselip.core.provenance import provenance
from fuselip.core.types import content_hash
from fuselip.model.configs import FuseLIPConfig
from fuselip.model.models import model_of
from fuselip.train.config import FREE, Hook, Train, changes, flat, from_json, override, to_json
from fuselip.train.data.config import DataConfig, Part, parse_part
from fuselip.train.data.mining import MINED, Mining
from fuselip.train.data.mixtures import mixture
from fuselip.train.data.stored import MANIFEST
from fuselip.train.recipes import tiny
from fuselip.train.studies import Row, Study

RUN_FILE = "run.json"
MEASURES = 4  # of a run, at equal distances, the last at its end
ROW_FILE = "row.json"
MINING = Mining()  # what `fuselip mine` does unless told otherwise
Say = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """What all rows of a study share. `settings`: as `--set` takes them.

    `data`: a prepared folder, with its kinds if not all ("sets/tgit?kinds=flip+rotate"); "": `parts`.
    `tokenizers`: a folder of trained image tokenizers by name (grid16, ...), for those that the package does not hold.
    `measure`: called by name on a checkpoint; gives {name: value}, and perhaps name/low, name/high and name/chance. Of
    a row that names a condition it is asked with condition=NAME.
    """

    steps: int
    seeds: tuple[int, ...]
    runs: Path
    data: str = ""
    settings: tuple[str, ...] = ()
    tokenizers: Path | None = None
    measure: str = "benchmarks.study_hook:tgit"
    parts: tuple[Part, ...] = mixture("tgit")


def config_of(row: Row, setup: Setup, seed: int) -> Train:
    """The resolved config of a row. Raises UsageError for settings that do not fit."""
    base = tiny("study", row.model)
    base = replace(
        base,
        steps=setup.steps,
        seed=seed,
        init=str(_bundle(row.model, setup) / START) if row.bundled else "",
        data=DataConfig(_parts(row, setup)),
        optim=replace(base.optim, warmup=min(base.optim.warmup, setup.steps // 10)),
        hook=Hook(setup.measure, max(1, setup.steps // MEASURES)),
        image_tokenizer=_tokenizer(row, setup),
    )
    return override(base, [*setup.settings, *row.settings])


def lacking(row: Row, setup: Setup) -> str:
    """Why a row cannot be run as it should be, or "": weights that are not there, or no data to mine."""
    from fuselip.model.image_tokenizers import bundled_file, is_tokenizer_shipped

    if row.mined and not (Path(setup.data) / MANIFEST).is_file():
        return "hard negatives are mined from a prepared set: name one with --data (`fuselip prepare` makes it)"
    needed = [row.model] if row.bundled else [MINING.model] if row.mined else []
    if missing := [model for model in needed if bundled_file(model) is None]:
        return f"this package holds no trained weights of {missing[0]}"
    config = model_of(row.model).config
    if not isinstance(config, FuseLIPConfig) or is_tokenizer_shipped(config) or _tokenizer(row, setup):
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
    from fuselip.train.loop import CHECKPOINTS, MODEL, train
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
        "parameters": _trained(folder / MODEL),
        "pairs": config.steps * config.batch_size,
        "seconds": sum(line["pairs"] / line["pairs_per_second"] for line in log if "pairs_per_second" in line),
        "device": str(device_of(config)),
        "memory_gib": peak_memory() / 2**30,
        "provenance": provenance(),
    }
    write_json(path, made)
    return made


def measure_row(path: Path, row: Row, config: Train) -> dict[str, Any]:
    """Measure the shipped weights that `config` begins with, or take what lies in `path`; as `run_row`."""
    asked = {"condition": row.condition} if row.condition else {}
    if path.is_file():
        found = read_json(path)
        if isinstance(found, dict) and found.get("measured") == {"call": config.hook.call, **asked}:
            return found
    scores = dict(load(config.hook.call)(Path(config.init), 0, **asked))
    if not scores:
        raise UserError(f"{config.hook.call} measured nothing of {config.init}")
    made = {
        "config": to_json(config),
        "measured": {"call": config.hook.call, **asked},
        "scores": scores,
        "curve": {},
        "parameters": _trained(Path(config.init)),
        "pairs": 0,
        "seconds": 0.0,
        "device": "cpu",
        "memory_gib": 0.0,
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
    runs = {
        (name, seed): config_of(row, setup, seed)
        for name, row in study.rows.items()
        if not found[name]["lacking"]
        for seed in (setup.seeds if row.trained else setup.seeds[:1])
    }
    files = {key: _file(study.rows[key[0]], setup, config) for key, config in runs.items()}
    done = {file for file in files.values() if file.is_file()}
    asked = {file for (name, _), file in files.items() if name in only}
    after(found)
    for key in sorted(runs, key=lambda key: files[key] not in done):
        if files[key] not in done | asked:
            continue
        (name, seed), row, file = key, study.rows[key[0]], files[key]
        say(f"{name}, seed {seed}: {file.parent}" if row.trained else f"{name}: measured as it is")
        if file not in done:
            _make_ready(row, setup, say)
        if row.trained:
            found[name]["runs"][seed] = run_row(file.parent, runs[key], say)
        else:
            try:
                found[name]["runs"][seed] = measure_row(file, row, runs[key])
            except UserError as error:  # such as of a model that takes no text alone: the other rows can be measured
                found[name]["lacking"] = str(error)
                say(f"{name}: {error}")
        after(found)


def _file(row: Row, setup: Setup, config: Train) -> Path:
    """Where what is found of a run is kept."""
    if row.trained:
        return folder_of(setup, config) / ROW_FILE
    told = content_hash([config.hook.call, row.condition])[:12]
    return _bundle(row.model, setup) / f"{re.sub('[^a-z]+', '-', row.condition) or 'as-it-is'}-{told}.json"


def folder_of(setup: Setup, config: Train) -> Path:
    """A run's folder, named by what decides its weights: rows and studies that ask for the same share it."""
    deciding = {key: value for key, value in flat(to_json(config)).items() if key not in FREE}
    told = content_hash(deciding)
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", config.model)
    return setup.runs / f"{plain}-{config.steps}-steps-seed-{config.seed}-{told[:12]}"


START = Path("checkpoints") / "step-00000000"  # as of a run: measurements are told no other folder


def _bundle(model: str, setup: Setup) -> Path:
    """A folder like a run's, for the weights of `model` that come with the package, named by their hash."""
    from fuselip.model.image_tokenizers import bundled_file

    file = bundled_file(model)
    assert file is not None, "such a row is lacking"
    return setup.runs / f"{model}-bundled-{sha256_file(file)[:12]}"


def _mined(setup: Setup) -> Path:
    told = content_hash([read_json(Path(setup.data) / MANIFEST), asdict(MINING), _bundle(MINING.model, setup).name])
    return setup.runs / f"mined-{told[:12]}"


def _parts(row: Row, setup: Setup) -> tuple[Part, ...]:
    if row.mined and not lacking(row, setup):
        return (Part(MINED, 1.0, {"folder": str(_mined(setup)), "data": setup.data}),)
    return (parse_part(setup.data),) if setup.data else setup.parts


def _make_ready(row: Row, setup: Setup, say: Say) -> None:
    """What must lie in the folder of runs before a row: the weights that it begins with, the groups that it reads."""
    if row.bundled and not ((bundle := _bundle(row.model, setup)) / RUN_FILE).is_file():
        from fuselip.model.checkpoints import save_model
        from fuselip.model.weights import BUNDLED, load_weights

        model, _ = load_weights(row.model, BUNDLED)
        save_model(model, bundle / START)
        write_json(bundle / RUN_FILE, {"config": {"model": row.model}})
    if row.mined:
        from fuselip.train.data.mining import mine

        out = _mined(setup)
        say(f"mining hard negatives of {setup.data} by {MINING.model}, into {out}")
        made = mine(Path(setup.data), out, MINING, report=lambda done, total: say(f"embedded {done} of {total} shards"))
        say(f"{made['groups']:,} groups of {made['pairs']:,} pairs")


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

    with safe_open(folder / WEIGHT_FILES[0], "pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys() if not key.startswith(PREFIX)]  # noqa: SIM118
    total = 0
    for shape in shapes:
        count = 1
        for each in shape:
            count *= each
        total += count
    return total
