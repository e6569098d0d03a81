"""Image tokenizers of our own as folders and as package data: the frozen weights that models of ours start from.

A folder holds config.json (the variant and what was measured) and model.safetensors with encoder and decoder. A
checkpoint of a model holds its tokenizer's encoder too, so that it never depends on what a later package ships.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import read_json, write_bytes, write_json
from fuselip.core.seeds import derive
from fuselip.model.checkpoints import CONFIG_FILE, WEIGHT_FILES, load_model, read_config, read_state_dict, weights_file
from fuselip.model.configs import Config, FuseLIPConfig
from fuselip.model.fuselip import FuseLIP
from fuselip.model.grid_tokenizer import GridTokenizer
from fuselip.model.image_variants import FeatureVariant, PatchVariant, TokLIPVariant
from fuselip.model.sizes import BSQ_GRIDS, GRIDS, GridVariant
from fuselip.model.titok import TiTokEncoder
from fuselip.model.toklip_config import TokLIPConfig

DATA = Path(__file__).parent / "data"
PREFIX = "image_tokenizer.model."
TOKLIP_PREFIX = "visual.trunk.vq."


def bundled_file(name: str) -> Path | None:
    """The trained weights of a model that the package ships, of the configuration it has in MODELS."""
    path = DATA / f"{name}.safetensors"
    return path if path.is_file() else None


def is_tokenizer_shipped(config: Config) -> bool:
    """Whether the package holds trained weights of all of its image tokenizer; raw patches need none."""
    if isinstance(config, FuseLIPConfig) and isinstance(config.variant, PatchVariant):
        return True
    paths = [path for path, _, _ in _parts(config)]
    return bool(paths) and all(path.is_file() for path in paths)


def shipped_tensors(config: Config) -> dict[str, Tensor]:
    """Those weights by the names that they have in a model; empty where there are none."""
    found: dict[str, Tensor] = {}
    for path, there, here in _parts(config):
        state = read_state_dict(path) if path.is_file() else {}
        found |= {here + key.removeprefix(there): state[key] for key in state if key.startswith(there)}
    return found


def _parts(config: Config) -> list[tuple[Path, str, str]]:
    """Which files of the package would make up its image tokenizer: (file, prefix in the file, prefix in a model)."""
    if isinstance(config, TokLIPConfig):
        name = next((name for name, variant in GRIDS.items() if variant == config.variant), None)
        return [(DATA / f"{name}.safetensors", "encoder.", TOKLIP_PREFIX)] if name else []
    if not isinstance(config, FuseLIPConfig):
        return []
    variant = config.variant
    if isinstance(variant, GridVariant):
        return [(_file(config.image_tokenizer), "encoder.", PREFIX)]
    if isinstance(variant, TokLIPVariant):
        grids = [name for name, grid in GRIDS.items() if grid == variant.codes]
        codes = [(_file(name), "encoder.", f"{PREFIX}trunk.vq.") for name in grids]
        return [*codes, (_file(config.image_tokenizer), "visual.", PREFIX)]
    if isinstance(variant, FeatureVariant):
        codes = [(_file(variant.codes), "encoder.", f"{PREFIX}codes.")] if variant.codes else []
        return [*codes, (_file(variant.tower_of), "model.visual.", f"{PREFIX}tower.")]
    return []


def _file(name: str) -> Path:
    return DATA / f"{name}.safetensors"


def fill_by_seed(model: nn.Module, seed: int) -> None:
    """Matrices by fan in, norms one, biases zero; a parameter's numbers depend on seed and name alone."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.ndim > 1:
                draws = torch.Generator().manual_seed(derive("image tokenizer", seed, name))
                parameter.normal_(0, math.prod(parameter.shape[1:]) ** -0.5, generator=draws)
            else:
                parameter.fill_(float(name.endswith("weight")))


def save_tokenizer(model: GridTokenizer, folder: Path, about: dict[str, Any]) -> None:
    """Write a folder; `about` goes into its config.json."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_bytes(folder / WEIGHT_FILES[0], save(state))
    write_json(folder / CONFIG_FILE, {"image_tokenizer": model.variant.repo, **about})


def load_tokenizer(where: str | Path) -> GridTokenizer | TiTokEncoder:
    """A tokenizer by name from the package, from a folder that `save_tokenizer` wrote, or from a FuseLIP checkpoint.

    Those of checkpoints with TiTok have no decoder. Raises UsageError for a name that is none of these, UserError for
    damaged files and for a checkpoint of ours, which holds the encoder alone.
    """
    folder, grids = Path(where), GRIDS | BSQ_GRIDS
    if str(where) in grids and (DATA / f"{where}.safetensors").is_file():
        return _read(str(where), DATA / f"{where}.safetensors")
    if not folder.is_dir():
        shipped = [name for name in grids if (DATA / f"{name}.safetensors").is_file()]
        raise UsageError(f"{where} is neither a tokenizer's folder nor in the package ({', '.join(shipped) or 'none'})")
    config = read_json(folder / CONFIG_FILE)
    if isinstance(config, dict) and "model_name" in config:
        return _of_checkpoint(folder)
    named = config.get("image_tokenizer") if isinstance(config, dict) else None
    by_repo = {variant.repo: name for name, variant in grids.items()}
    if named not in by_repo:
        raise UserError(
            f"{folder} holds the image tokenizer {named!r}, and not one of those trained here ({', '.join(by_repo)}); "
            "TiTok's is read from a FuseLIP checkpoint"
        )
    return _read(by_repo[named], weights_file(folder))


def _of_checkpoint(folder: Path) -> TiTokEncoder:
    model = load_model(read_config(folder), weights_file(folder))
    if isinstance(model, FuseLIP) and isinstance(model.tokenizer, TiTokEncoder):
        return model.tokenizer.eval()
    raise UserError(
        f"{folder} is a checkpoint without TiTok; name the folder of the tokenizer that it was trained with"
    )


def _read(name: str, path: Path) -> GridTokenizer:
    model = GridTokenizer((GRIDS | BSQ_GRIDS)[name])
    try:
        model.load_state_dict(read_state_dict(path))
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit the image tokenizer {name}: {str(error).splitlines()[-1].strip()}"
        ) from error
    return model.eval().requires_grad_(False)
