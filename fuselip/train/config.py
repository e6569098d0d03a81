"""One training run as data: every setting with its default, read strictly, changed by `--set key=value`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean
from fuselip.train.data.config import DataConfig


@dataclass(frozen=True)
class Loss:
    """`divide`: the contrastive loss over all processes' pairs ("global") or the reference's mean of means ("local").

    `mask_equal_rights`: right-hand sides of equal content are not each other's negatives. `kind`: the paper's loss is
    "sigmoid"; "softmax" is CLIP's. `scale` and `bias`: where the logits' scale and the sigmoid's bias begin.
    """

    kind: Literal["sigmoid", "softmax"] = "sigmoid"
    scale: float = 10.0
    bias: float = -10.0
    divide: Literal["global", "local"] = "global"
    mask_equal_rights: bool = False


@dataclass(frozen=True)
class Mask:
    """Masked multimodal modelling: total = contrastive + weight * (left + right). FuseLIP only; ratio 0 is none.

    `paper`: the paper's choice of tokens that are never hidden, see `masking.never_masked`.
    """

    ratio: float = 0.1
    weight: float = 0.25
    sides: Literal["both", "left", "right"] = "both"
    paper: bool = False


@dataclass(frozen=True)
class Distil:
    """TokLIP only (arXiv 2505.05422): total = contrastive + weight * MSE of unit image features against a teacher's.

    `teacher`: see `teacher.teacher_of`; "": none, which needs a weight of 0. `start`: what fits of the teacher's
    weights is where a student without `init` begins (its text tower; blocks, positions and norms of its image tower;
    the logits' scale). `text`: the paper's text tower is the teacher's and stays frozen.
    """

    teacher: str = ""
    weight: float = 1000.0
    start: bool = True
    text: Literal["frozen", "trained"] = "frozen"


@dataclass(frozen=True)
class Optim:
    """AdamW with linear warm-up and a cosine to zero; `warmup` in steps. Matrices and tables alone decay."""

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-8
    weight_decay: float = 0.5
    warmup: int = 12000
    clip: float = 1.0  # norm of all gradients; 0: no clipping


@dataclass(frozen=True)
class Hook:
    """A measurement during training: `call` ("module:attr") is called as call(model_folder, step) every `every` steps.

    It runs in process 0 on a checkpoint folder and returns {name: number}, which go to the log.
    """

    call: str = ""
    every: int = 0


@dataclass(frozen=True)
class Train:
    """A run. `batch_size` counts pairs over all processes; `steps` are optimizer steps."""

    model: str
    steps: int
    batch_size: int
    name: str = ""
    data: DataConfig | None = None
    batches: str = "fuselip.train.data:batches"  # code that streams the data, "module:attr"
    init: str = ""  # a checkpoint folder or hf:OWNER/NAME[@REV]; "": from scratch
    structured_codes: bool = False  # image codes begin near each other as their pictures are (grid tokenizers)
    image_tokenizer: str = ""  # a folder or file with the frozen image tokenizer's weights; "": those of `init`
    seed: int = 0
    loss: Loss = Loss()
    mask: Mask = Mask()
    distil: Distil = Distil()
    optim: Optim = Optim()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    parallel: Literal["ddp", "fsdp"] = "ddp"
    chunk_pairs: int = 0  # pairs that are differentiated at once, by gradient caching; 0: the whole batch
    checkpointing: bool = False  # recompute blocks in the backward pass: less memory, a third more time
    compile: bool = False
    save_every: int = 1000
    keep: int = 2  # checkpoints
    log_every: int = 10
    tensorboard: bool = False
    wandb: str = ""  # project; "": off
    hook: Hook = Hook()


# What may differ when a run goes on: it changes no weights.
FREE = (
    "data.workers",
    "data.tokens",
    "data.pixels",
    "name",
    "device",
    "save_every",
    "keep",
    "log_every",
    "tensorboard",
    "wandb",
    "hook.call",
    "hook.every",
)


def to_json(config: Train) -> dict[str, Any]:
    data = None if config.data is None else config.data.to_json()
    return asdict(replace(config, data=None)) | {"data": data}


def from_json(value: Any, where: str) -> Train:
    """Raises UsageError naming the key of the first value that does not fit."""
    config: Train = _read(value, Train, where, "")
    if value.get("data") is not None:
        config = replace(config, data=DataConfig.from_json(value["data"], f"{where}, data"))
    _check(config, where)
    return config


def override(config: Train, settings: Sequence[str]) -> Train:
    """`config` with each "key=value" put in place, dots for keys inside keys (optim.lr=1e-3).

    Values are JSON where they read as JSON, else text. Raises UsageError naming the key.
    """
    values = to_json(config)
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise UsageError(f"--set {setting!r} is not KEY=VALUE")
        *path, last = key.strip().split(".")
        target: Any = values
        for part in path:
            target = _inside(target, part)
        if _inside(target, last) is _ABSENT:
            known = [name for name in flat(to_json(config)) if not name.startswith("data.parts.")]
            raise UsageError(f"--set {key}: no such setting{did_you_mean(key, known)}; known: {', '.join(known)}")
        place = int(last) if isinstance(target, list) else last
        target[place] = _value(text, target[place])
    return from_json(values, "--set")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optim.lr": ..., "data.parts.0.source": ...} of nested tables and lists."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = {str(i): each for i, each in enumerate(value)} if isinstance(value, list | tuple) else value
        found |= flat(inner, f"{prefix}{key}.") if isinstance(inner, Mapping) else {f"{prefix}{key}": value}
    return found


def changes(old: Train, new: Train) -> list[str]:
    """The settings in which the two would give other weights, told as "key: old, now new"."""
    before, now = flat(to_json(old)), flat(to_json(new))
    keys = sorted({*before, *now} - set(FREE))
    return [f"{key}: {before.get(key)!r}, now {now.get(key)!r}" for key in keys if before.get(key) != now.get(key)]


_ABSENT = object()


def _inside(table: Any, key: str) -> Any:
    if isinstance(table, dict):
        return table.get(key, _ABSENT)
    if isinstance(table, list) and key.isdigit() and int(key) < len(table):
        return table[int(key)]
    return _ABSENT


def _value(text: str, old: Any) -> Any:
    if isinstance(old, str):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return float(found) if isinstance(old, float) and isinstance(found, int) and not isinstance(found, bool) else found


def _read(value: Any, kind: Any, where: str, prefix: str) -> Any:
    """The settings `kind` of a table that holds its keys alone, each of its type; `data` is left for its own reader."""
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {prefix.rstrip('.') or 'the configuration'} is not a table")
    known = {each.name: each for each in fields(kind)}
    for key in value:
        if key not in known:
            raise UsageError(f"{where}: unknown setting {prefix}{key}{did_you_mean(key, known)}")
    for key, each in known.items():
        if key not in value and each.default is MISSING:
            raise UsageError(f"{where}: {prefix}{key} is missing")
    types = get_type_hints(kind)
    own = {key: found for key, found in value.items() if key != "data"}
    return kind(**{key: _typed(found, types[key], where, prefix + key) for key, found in own.items()})


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _typed(value: Any, kind: Any, where: str, key: str) -> Any:
    if is_dataclass(kind):
        return _read(value, kind, where, f"{key}.")
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UsageError(f"{where}: {key} is {value!r}, and not one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # a bool is no whole number
        raise UsageError(f"{where}: {key} is {value!r}, and not {_WORDS[kind]}")
    return value


def _check(config: Train, where: str) -> None:
    optim, mask = config.optim, config.mask
    wrong = {
        "steps": config.steps < 1,
        "batch_size": config.batch_size < 1,
        "chunk_pairs": config.chunk_pairs < 0,
        "save_every": config.save_every < 1,
        "keep": config.keep < 1,
        "log_every": config.log_every < 1,
        "hook.every": config.hook.every < 0 or bool(config.hook.every) != bool(config.hook.call),
        "optim.lr": not 0 < optim.lr < float("inf"),
        "optim.beta1": not 0 <= optim.beta1 < 1,
        "optim.beta2": not 0 <= optim.beta2 < 1,
        "optim.eps": not optim.eps > 0,
        "optim.weight_decay": not optim.weight_decay >= 0,
        "optim.warmup": optim.warmup < 0,
        "optim.clip": not optim.clip >= 0,
        "loss.scale": not 1 <= config.loss.scale <= 100,
        "loss.bias": not -100 <= config.loss.bias <= 100,
        "mask.ratio": not 0 <= mask.ratio < 1,
        "mask.weight": not mask.weight >= 0,
        "distil.weight": not 0 <= config.distil.weight < float("inf"),
    }
    for key, is_wrong in wrong.items():
        if is_wrong:
            raise UsageError(f"{where}: {key} is {flat(to_json(config))[key]!r}, which is out of range")
