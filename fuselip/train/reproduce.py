"""The commands that make a training run again, from its config alone; folders are named by their last part."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fuselip.core.errors import UserError
from fuselip.core.files import read_json
from fuselip.train.config import FREE, Train, flat, to_json
from fuselip.train.data.config import DataConfig, Part
from fuselip.train.data.mixtures import MIXTURES, mixture
from fuselip.train.data.stored import MANIFEST, PLAN
from fuselip.train.recipes import RECIPES

SIDE = 64  # of `fuselip prepare`, where none is named


@dataclass(frozen=True)
class Prepared:
    """A set that `fuselip prepare` made: its parts, `wanted` groups as asked for, and what it holds."""

    name: str
    parts: tuple[Part, ...]
    seed: int
    side: int
    wanted: int
    groups: int
    pairs: int

    @property
    def mixture(self) -> str:
        """Its name, or "" for parts of its own."""
        return next((name for name in MIXTURES if mixture(name) == self.parts), "")

    @property
    def command(self) -> str:
        parts = ["--mixture", self.mixture] if self.mixture else [f"--part={_spec(part)}" for part in self.parts]
        side = ["--side", str(self.side)] if self.side != SIDE else []
        return _join(
            ["fuselip", "prepare", f"sets/{self.name}", *parts, "--groups", self.wanted, *side, "--seed", self.seed]
        )


def prepared_sets(data: DataConfig | None) -> dict[str, Prepared]:
    """{source: what it is} of the prepared folders among the parts that are still there. UserError for damaged ones."""
    found = {}
    for part in data.parts if data else ():
        folder = Path(part.source).expanduser()
        if (folder / MANIFEST).is_file() and (folder / PLAN).is_file():
            held, asked = read_json(folder / MANIFEST), read_json(folder / PLAN)
            try:
                parts = DataConfig.from_json(held["data"], str(folder / MANIFEST)).parts
                numbers = [int(held[key]) for key in ("seed", "side", "groups", "pairs")]
                numbers.insert(2, int(asked["groups"]))
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{folder / MANIFEST} is damaged ({error}); prepare the set again") from error
            found[part.source] = Prepared(folder.resolve().name, parts, *numbers)
    return found


def train_command(config: Train, world: int, out: str, init: str) -> str:
    """The command of a run into runs/`out`, started from `init`: the nearest recipe, and what differs from it."""
    config = replace(config, init="")
    name = min(RECIPES, key=lambda known: (RECIPES[known]().model != config.model, len(_settings(known, config))))
    start = ["fuselip"] if world == 1 else ["torchrun", "--nproc-per-node", world, "-m", "fuselip.cli"]
    data = []
    if config.data is not None and config.data.parts != _parts(RECIPES[name]()):
        data = [f"--data={_spec(part)}" for part in config.data.parts]
    settings = [f"--set={setting}" for setting in _settings(name, config, bool(init))]
    return _join(
        [*start, "train", name, *data, *([f"--init={init}"] if init else []), *settings, "--out", f"runs/{out}"]
    )


def _settings(name: str, config: Train, begun: bool = False) -> list[str]:
    """What differs from a recipe, beside its parts, as `--set` takes it. Code embeddings are those of `init`."""
    base, wanted = flat(_table(RECIPES[name]())), flat(_table(config))
    unused = {*FREE, *({"structured_codes"} if begun else ())}
    changed = {key: value for key, value in wanted.items() if key not in unused and base.get(key) != value}
    if changed.get("image_tokenizer"):
        changed["image_tokenizer"] = f"tokenizers/{Path(config.image_tokenizer).name}"
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changed.items()]


def _table(config: Train) -> dict[str, Any]:
    value = to_json(config)
    if value["data"] is not None:
        del value["data"]["parts"]
    return value


def _parts(config: Train) -> tuple[Part, ...]:
    return config.data.parts if config.data else ()


def _spec(part: Part) -> str:
    """A part as `--data` and `--part` take it."""
    source = place(part.source)
    options = "&".join(f"{key}={value}" for key, value in part.options.items())
    return (f"{part.weight!r}*" if part.weight != 1 else "") + source + (f"?{options}" if options else "")


def place(source: str) -> str:
    """A source without the folders of the machine that it lay on."""
    path = Path(source)
    is_folder = path.is_absolute() or len(path.parts) > 1 or ":" not in source
    return f"sets/{path.name}" if is_folder else source


def _join(words: Sequence[Any]) -> str:
    return shlex.join("".join(" " if ord(letter) < 32 else letter for letter in str(word)) for word in words)
