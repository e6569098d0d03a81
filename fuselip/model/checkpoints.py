"""Checkpoint folders: config.json beside model.safetensors or pytorch_model.bin, read strictly, never unpickled."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fuselip.core.errors import UserError
from fuselip.core.files import read_json, write_bytes, write_json
from fuselip.model.configs import Config, FuseLIPConfig, config_from_json
from fuselip.model.fuselip import FuseLIP
from fuselip.model.late_fusion import LateFusion
from fuselip.model.late_fusion_config import LateFusionConfig
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_config import TokLIPConfig

Network = FuseLIP | LateFusion | TokLIP

CONFIG_FILE = "config.json"
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # the first one found is read
MAX_CONFIG_BYTES = 1 << 20

# The tokenizer's decoder draws pixels; embedding never does.
_IGNORED = tuple(f"image_tokenizer.model.{part}" for part in ("decoder.", "pixel_quantize.", "pixel_decoder."))
_TIED = ("mask_prediction_head.decoder.weight", "token_embedding.weight")


def read_config(folder: Path) -> Config:
    """Raises UserError where config.json is missing, is no JSON, or describes another model."""
    path = folder / CONFIG_FILE
    if path.is_file() and path.stat().st_size > MAX_CONFIG_BYTES:
        raise UserError(f"{path} is over {MAX_CONFIG_BYTES >> 20} MiB: not a model configuration")
    return config_from_json(read_json(path), str(path))


def weights_file(folder: Path) -> Path:
    """The file that holds the weights. Raises UserError where there is none."""
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} holds no weights; it needs {CONFIG_FILE} and {' or '.join(WEIGHT_FILES)}")


def load_model(config: Config, path: Path) -> Network:
    """The model of `config` with the tensors of the file `path`; shapes are checked before anything is allocated.

    Raises UserError for a damaged file, a pickled object, and missing, unexpected or mis-shaped tensors.
    """
    model = blank(config)
    state = read_state_dict(path)
    if isinstance(config, FuseLIPConfig):
        state = _without_specialities(config, state, path)
    what, advice = f"the model its {CONFIG_FILE} describes", "Use the two files of one checkpoint together"
    check_shapes(model.state_dict(), state, path, what, advice)
    fill(model, state)
    return model


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Float tensors by key, mapped from the file rather than copied where they are float32 already."""
    with reading(path):
        found = load_file(path) if path.suffix == ".safetensors" else load_pytorch(path)
    return as_tensors(found, path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What is raised for a file that holds pickled objects, or is damaged, as a UserError that names it."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds pickled objects and was refused: reading them could run any code. Nothing was run. "
            "A file of tensors alone (model.safetensors) is what is needed"
        ) from error
    except (SafetensorError, RuntimeError, ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is damaged, cut short or no checkpoint ({reason}); download or copy it again"
        ) from error


def as_tensors(found: Any, path: Path) -> dict[str, Tensor]:
    """A table of tensors by key as float32. Raises UserError for anything else."""
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path} is not a plain table of tensors; save the model's state_dict alone")
    for key, tensor in found.items():
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            raise UserError(f"{path}: {key} holds {tensor.dtype} ({tensor.layout}), not floating-point numbers")
    return {str(key): tensor.detach().float().contiguous() for key, tensor in found.items()}


def save_model(model: Network, folder: Path) -> None:
    """Write config.json and model.safetensors (a tied tensor once); each file appears whole or not at all."""
    head = _TIED[0] if isinstance(model, FuseLIP) else ""
    state = {key: tensor.contiguous().cpu() for key, tensor in model.state_dict().items() if key != head}
    write_bytes(folder / WEIGHT_FILES[0], save(state))
    write_json(folder / CONFIG_FILE, model.config.to_json())


@overload
def blank(config: FuseLIPConfig) -> FuseLIP: ...
@overload
def blank(config: LateFusionConfig) -> LateFusion: ...
@overload
def blank(config: TokLIPConfig) -> TokLIP: ...
def blank(config: Config) -> Network:
    """The model without storage: shapes and names only, for `fill`."""
    with torch.device("meta"):
        if isinstance(config, TokLIPConfig):
            return TokLIP(config)
        return FuseLIP(config) if isinstance(config, FuseLIPConfig) else LateFusion(config)


def fill(model: Network, state: Mapping[str, Tensor]) -> None:
    """Put `state` in place of the parameters of a blank model; a tied tensor may be named once."""
    result = model.load_state_dict(state, strict=False, assign=True)
    assert not result.unexpected_keys, result
    if isinstance(model, FuseLIP):
        assert set(result.missing_keys) <= {_TIED[0]}, result
        model.tie()
        model.tokenizer.requires_grad_(False)
    else:
        assert not result.missing_keys, result


def _without_specialities(config: FuseLIPConfig, state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """FuseLIP's files hold tensors that are never used, and may name a tied one once or twice."""
    state = {key: tensor for key, tensor in state.items() if not key.startswith(_IGNORED)}
    head, table = _TIED
    if config.mask_token and table in state:
        tied = state.setdefault(head, state[table])  # safetensors files keep one of two names of a tensor
        if tied.shape == state[table].shape and not torch.equal(tied, state[table]):
            raise UserError(
                f"{path}: {head} and {table} differ, but are one tensor in this model; is it another model?"
            )
    return state


def load_pytorch(path: Path) -> Any:
    """What torch.save wrote, read without running any of it."""
    mapped = zipfile.is_zipfile(path)  # files from before torch 1.6 cannot be mapped
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def check_shapes(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, what: str, advice: str) -> None:
    """Raises UserError that names the tensors missing, unexpected or of another shape than `what` has them."""
    problems = {
        "missing": [key for key in wanted if key not in found],
        "unexpected": [key for key in found if key not in wanted],
        "of another shape": [
            f"{key} {list(found[key].shape)}, not {list(tensor.shape)}"
            for key, tensor in wanted.items()
            if key in found and found[key].shape != tensor.shape
        ],
    }
    told = "; ".join(
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in problems.items()
        if keys
    )
    if told:
        raise UserError(f"{path} does not fit {what}. Tensors: {told}. {advice}")
