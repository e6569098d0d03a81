"""What a mix consists of, as read from YAML: sets, their weights, a seed, perhaps a preset of the paper.

name: mine                  # default: the file's name
preset: cc3m-mm             # optional: the paper's sets, looked for in `root`
root: sets                  # where relative paths start (default: the YAML's folder)
seed: 0
sets:
  cc3m: sets/cc3m           # a folder made by `fuselip-datagen build-...`; or, with more to say:
  vg-vqa: {path: sets/vg-vqa, weight: 0.5}
  own: {path: sets/own, data_root: pictures}   # where the file names of a virtual set start
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from datagen.mix.presets import PresetSet, preset
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean

KEYS = ("name", "preset", "root", "seed", "sets")
SET_KEYS = ("path", "weight", "data_root")
MAX_WEIGHT = 1000.0
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.+-]{0,63}")


@dataclass(frozen=True)
class MixSet:
    """One set: its folder, and how many times (2, 0.5) its groups are seen in an epoch."""

    name: str
    path: Path
    weight: float = 1.0
    data_root: Path | None = None
    paper: PresetSet | None = None


@dataclass(frozen=True)
class MixConfig:
    name: str
    sets: tuple[MixSet, ...]
    seed: int = 0
    preset: str = ""


def read(path: Path) -> MixConfig:
    """The mix a YAML file describes. UsageError for what is not known there, with the line where YAML itself fails."""
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; check the spelling") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error})") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse(value, path.stem, path.parent, str(path))


def of_preset(name: str, root: Path, seed: int = 0) -> MixConfig:
    """A preset whose sets are folders of `root`, called as the preset calls them."""
    sets = tuple(MixSet(each.name, root / each.name, each.weight, paper=each) for each in preset(name))
    return MixConfig(name, sets, seed, name)


def parse(value: Any, name: str, folder: Path, where: str) -> MixConfig:
    """A mix of plain values. `folder` is where relative paths start, `where` is named in errors."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} holds no settings; it needs at least `sets:` or `preset:`")
    _check_keys(value, KEYS, where)
    name = _text(value.get("name", name), "name", where)
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: the name {name!r} has other characters than letters, digits and _ . + -")
    seed = value.get("seed", 0)
    if type(seed) is not int or seed < 0:
        raise UsageError(f"{where}: seed {seed!r} is not a whole number from 0")
    root = folder / Path(_text(value.get("root", "."), "root", where)).expanduser()
    chosen = _text(value["preset"], "preset", where) if "preset" in value else ""
    sets = {each.name: each for each in of_preset(chosen, root).sets} if chosen else {}
    sets |= _sets(value.get("sets") or {}, sets, root, where)
    if not sets:
        raise UsageError(f"{where} names no sets; write `sets:` with a name and a folder for each")
    if not any(each.weight for each in sets.values()):
        raise UsageError(f"{where}: all weights are 0, so nothing would be seen")
    return MixConfig(name, tuple(sets.values()), seed, chosen)


def _sets(found: Any, known: Mapping[str, MixSet], root: Path, where: str) -> dict[str, MixSet]:
    if not isinstance(found, Mapping):
        raise UsageError(f"{where}: `sets` is a table of names and folders, not {type(found).__name__}")
    sets = {}
    for name, value in found.items():
        at = f"{where}: set {name!r}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{at}: a set's name has letters, digits and _ . + - only")
        given = {"path": value} if isinstance(value, str) else value
        if not isinstance(given, Mapping):
            raise UsageError(f"{at}: give its folder, or a table of {', '.join(SET_KEYS)}")
        _check_keys(given, SET_KEYS, at)
        if "path" in given:
            start = known.get(name, MixSet(name, root))
            start = replace(start, path=root / Path(_text(given["path"], "path", at)).expanduser())
        elif name in known:
            start = known[name]
        else:
            raise UsageError(f"{at} has no path{did_you_mean(name, known)}")
        weight = _weight(given["weight"], at) if "weight" in given else start.weight
        data_root = (
            root / Path(_text(given["data_root"], "data_root", at)).expanduser() if "data_root" in given else None
        )
        sets[name] = replace(start, weight=weight, data_root=data_root)
    return sets


def _check_keys(value: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    for key in value:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{did_you_mean(str(key), known)}; known: {', '.join(known)}")


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where}: {key} is a text, not {value!r}")
    return value


def _weight(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_WEIGHT:
        raise UsageError(f"{where}: weight {value!r} is not a number from 0 to {MAX_WEIGHT:g}")
    return float(value)
