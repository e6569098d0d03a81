"""Which numbers a model runs on: from the --weights argument to a file and its record, or to random weights."""

from __future__ import annotations

import itertools
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import constants

from fuselip.core.encoder import Weights
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import sha256_file
from fuselip.core.plugins import did_you_mean
from fuselip.model import hub
from fuselip.model.checkpoints import CONFIG_FILE, Network, load_model, read_config, weights_file
from fuselip.model.configs import Config
from fuselip.model.image_tokenizers import bundled_file
from fuselip.model.models import MODELS, Official, model_of
from fuselip.model.random_init import random_model
from fuselip.model.toklip_checkpoint import load_official
from fuselip.model.toklip_config import TokLIPConfig

AUTO, RANDOM, BUNDLED, OFFICIAL, HUB = "auto", "random", "bundled", "official", "hf:"
OURS = (".safetensors", ".bin")  # the files of a checkpoint folder; others of TokLIP are its publisher's
MAX_LOCAL_FOLDERS = 500


@dataclass(frozen=True)
class Found:
    """Where the weights are (a checkpoint's folder, a file of the package, or None: random), and their record."""

    path: Path | None
    record: Weights


def load_weights(name: str, weights: str = AUTO, *, seed: int = 0, offline: bool = False) -> tuple[Network, Weights]:
    """The model `name` in fp32 on the CPU, and the record of what it runs on (its note says so in plain words).

    Raises UsageError for an unknown name; UserError for a refused, missing, damaged or other model's checkpoint.
    """
    model = model_of(name)
    found = find(name, weights, seed=seed, offline=offline)
    if found.path is None:
        drawn, sha256 = random_model(model.config, seed)
        return drawn, replace(found.record, sha256=sha256)
    config, path = model.config, found.path
    if path.is_dir():
        config = read_config(path)
        _check_size(name, config, path)
        path = weights_file(path)
    with ThreadPoolExecutor(1) as pool:  # hashing and loading share the reading of the file
        digest = pool.submit(sha256_file, path)
        loaded: Network
        if isinstance(config, TokLIPConfig) and path.suffix not in OURS:
            loaded = load_official(config, path)
        else:
            loaded = load_model(config, path)
        return loaded, replace(found.record, sha256=digest.result())


def find(name: str, weights: str = AUTO, *, seed: int = 0, offline: bool = False) -> Found:
    """Resolve `weights`: auto | bundled | a published name | official | random | hf:REPO[@REV] | a checkpoint folder.

    "auto" takes what the package itself holds, else the hub cache, then the hub; random weights only where there is no
    network (or it is not to be used), or where no trained weights were published; the record's note says so. What is
    published as "official" is downloaded only by that name, after a notice of its licence; a file of it will do too.
    """
    published = model_of(name).published
    offline = offline or constants.HF_HUB_OFFLINE
    if weights == RANDOM:
        return _random(name, seed, "as asked for")
    if weights == BUNDLED:
        return _bundled(name)
    if weights in (AUTO, OFFICIAL) and (official := model_of(name).official):
        return _official(name, official, weights, offline)
    if weights == AUTO:
        return _bundled(name) if bundled_file(name) else _auto(name, seed, offline)
    if weights in published:
        repo = published[weights]
        snapshot = hub.cached(repo)
        return _of_cache(repo, snapshot) if snapshot else _of_hub(repo, None, offline)
    if weights.startswith(HUB):
        repo, _, revision = weights.removeprefix(HUB).partition("@")
        pinned = re.fullmatch("[0-9a-f]{40}", revision) is not None
        snapshot = hub.cached(repo, revision) if pinned else None
        return _of_cache(repo, snapshot) if snapshot else _of_hub(repo, revision or None, offline)
    return _local(name, weights)


def trained_at_hand() -> list[str]:
    """Trained models that need no download, as arguments: in the package, in the hub cache, in folders right here."""
    bundled = [f"{name} --weights {BUNDLED}" for name in MODELS if bundled_file(name)]
    cached = [
        f"{name} --weights {weights}"
        for name, model in MODELS.items()
        for weights, repo in model.published.items()
        if hub.cached(repo)
    ]
    try:
        with os.scandir() as entries:
            folders = sorted(entry.name for entry in itertools.islice(entries, MAX_LOCAL_FOLDERS) if entry.is_dir())
    except OSError:  # a working directory that is gone or closed to us has no models at hand
        folders = []
    return bundled + cached + [f"--weights ./{folder}" for folder in folders if _is_checkpoint(Path(folder))]


def _official(name: str, official: Official, weights: str, offline: bool) -> Found:
    path = hub.cached_file(official.repo, official.file)
    how = "from the local hub cache"
    if path is None:
        if weights == AUTO:
            raise UsageError(
                f"the trained weights of {name} are not in the hub cache, and are downloaded only when asked for: "
                f"{official.notice} Choose --weights {OFFICIAL}, the .pt file itself, a folder, or {RANDOM}"
            )
        if reason := "working offline" if offline else hub.unreachable():
            raise UserError(f"{official.repo} is not in the hub cache and cannot be downloaded ({reason})")
        sys.stderr.write(f"{official.notice}\n")
        path, how = hub.download_file(official.repo, official.file), "from the hub"
    revision = path.parent.name
    note = f"trained weights {official.repo}/{official.file} at revision {revision[:12]}, {how}"
    return Found(path, Weights("hub", official.repo, revision, note=note))


def _bundled(name: str) -> Found:
    path = bundled_file(name)
    if path is None:
        there = ", ".join(known for known in MODELS if bundled_file(known)) or "none"
        raise UsageError(f"this package holds no trained weights of {name}; it holds those of: {there}")
    return Found(path, Weights("bundled", path.name, note=f"trained weights that come with the package ({path.name})"))


def _auto(name: str, seed: int, offline: bool) -> Found:
    published = model_of(name).published
    if not published:
        return _random(name, seed, "no trained weights of this model are published that we know of")
    for repo in published.values():
        if snapshot := hub.cached(repo):
            return _of_cache(repo, snapshot)
    if offline:
        return _random(name, seed, "working offline, and none of its trained weights are in the hub cache")
    reason = hub.unreachable()
    if reason is not None:
        return _random(name, seed, f"no network, and none of its trained weights are in the hub cache; {reason}")
    return _downloaded(next(iter(published.values())), None)


def _of_hub(repo: str, revision: str | None, offline: bool) -> Found:
    """From the hub if it may be asked and answers, else from the cache."""
    reason = "working offline" if offline else hub.unreachable()
    if reason is None:
        return _downloaded(repo, revision)
    if snapshot := hub.cached(repo, revision):
        return _of_cache(repo, snapshot)
    raise UserError(
        f"{repo} is not in the hub cache and cannot be downloaded ({reason}); use --weights random or a folder"
    )


def _downloaded(repo: str, revision: str | None) -> Found:
    return _of_snapshot(repo, hub.download(repo, revision), "from the hub")


def _of_cache(repo: str, snapshot: hub.Snapshot) -> Found:
    return _of_snapshot(repo, snapshot, "from the local hub cache")


def _of_snapshot(repo: str, snapshot: hub.Snapshot, how: str) -> Found:
    note = f"trained weights {repo} at revision {snapshot.revision[:12]}, {how}"
    return Found(snapshot.folder, Weights("hub", repo, snapshot.revision, note=note))


def _local(name: str, weights: str) -> Found:
    folder = Path(weights).expanduser()
    if folder.is_dir():
        return Found(folder, Weights("local", str(folder), note=f"weights from the folder {folder}"))
    if folder.is_file() and isinstance(model_of(name).config, TokLIPConfig):
        return Found(folder, Weights("local", str(folder), note=f"weights from the file {folder}"))
    if folder.is_file():
        raise UsageError(f"{folder} is a file; pass the folder that holds it and {CONFIG_FILE}")
    model = model_of(name)
    names = [AUTO, *([BUNDLED] if bundled_file(name) else []), *model.published, RANDOM]
    names += [OFFICIAL] if model.official else []
    raise UsageError(
        f"unknown weights {weights!r}{did_you_mean(weights, names)}; {name} takes {', '.join(names)}, "
        f"{HUB}OWNER/NAME[@REVISION] or an existing checkpoint folder"
    )


def _random(name: str, seed: int, why: str) -> Found:
    at_hand = trained_at_hand()
    to_download = ", ".join(f"--weights {weights}" for weights in model_of(name).published)
    note = (
        f"RANDOM weights (seed {seed}): {why}. Nothing was learned, so scores say nothing about trained models. "
        f"Trained models at hand: {', '.join(at_hand) or 'none'}; to download for {name}: {to_download or 'none'}"
    )
    return Found(None, Weights("random", f"seed {seed}", note=note))


def _check_size(name: str, config: Config, folder: Path) -> None:
    wanted = model_of(name).config.architecture
    if config.architecture != wanted:
        fitting = [known for known, model in MODELS.items() if model.config.architecture == config.architecture]
        raise UserError(
            f"{folder} holds another model than {name}: {config.architecture}, not {wanted}"
            + (f"; load it as {fitting[0]}" if fitting else "")
        )


def _is_checkpoint(folder: Path) -> bool:
    try:
        read_config(folder)
        weights_file(folder)
    except (UserError, OSError):
        return False
    return True
