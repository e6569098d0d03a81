"""Where a run begins: its device, and a model from scratch or from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from fuselip.core.errors import UsageError, UserError
from fuselip.core.provenance import cpu_name
from fuselip.core.seeds import generator
from fuselip.model.bsq import BSQ
from fuselip.model.checkpoints import (
    Network,
    as_tensors,
    load_model,
    load_pytorch,
    read_config,
    read_state_dict,
    reading,
    weights_file,
)
from fuselip.model.fsq import FSQ
from fuselip.model.fuselip import FuseLIP
from fuselip.model.image_tokenizers import is_tokenizer_shipped
from fuselip.model.llamagen_vq import Codebook, VQEncoder
from fuselip.model.models import model_of
from fuselip.model.patch_features import FeatureTokenizer
from fuselip.model.random_init import random_model
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_tokens import TokLIPTokenizer
from fuselip.train.config import Train
from fuselip.train.optim import temperature
from fuselip.train.teacher import begin, check_distil, teacher_of

HUB = "hf:"


def device_of(config: Train) -> torch.device:
    """Raises UserError where the device is not there."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if config.device == "auto":
        return torch.device(next(name for name, there in present.items() if there))
    if not present[config.device]:
        raise UserError(f"device={config.device} is not available to this torch ({torch.__version__}); use device=cpu")
    return torch.device(config.device)


def device_name(config: Train) -> str:
    """What the run computes on, by its make. Raises UserError where it is not there."""
    device = device_of(config)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}: {cpu_name()}"


def model_of_config(config: Train, say: Callable[[str], None]) -> Network:
    """The model to train, fp32 on the CPU: from `init`, else from the seed; the image tokenizer is frozen.

    Raises UserError where `init` holds another model than the config names, and where tokenizer weights do not fit.
    """
    wanted, taught = model_of(config.model).config, False
    check_distil(config, wanted)
    if config.init:
        folder = _folder(config.init)
        found = read_config(folder)
        if found.architecture != wanted.architecture:
            raise UserError(f"init={config.init} holds another model: {found.architecture}, not {wanted.architecture}")
        model: Network = load_model(found, weights_file(folder))
        say(f"starting from {folder}")
    else:
        model, _ = random_model(wanted, config.seed)
    if isinstance(model, FuseLIP):
        if config.image_tokenizer:
            _load_tokenizer(model, Path(config.image_tokenizer).expanduser())
        elif not config.init and not is_tokenizer_shipped(wanted):
            say("the image tokenizer has RANDOM weights: name trained ones by --set image_tokenizer=PATH")
    elif isinstance(model, TokLIP):
        if not config.init:
            taught = _begin_toklip(model, config, say)
    elif config.image_tokenizer:
        raise UsageError(f"image_tokenizer is for FuseLIP; {config.model} looks at pixels")
    if not config.init:
        log_scale, bias = temperature(model)
        with torch.no_grad():
            if not taught:
                log_scale.fill_(math.log(config.loss.scale))
            bias.fill_(config.loss.bias)
        if config.structured_codes:
            structure_codes(model, config.seed)
    return model.train()


def _begin_toklip(model: TokLIP, config: Train, say: Callable[[str], None]) -> bool:
    """Put the teacher's weights into `model` where the config wants it; whether that was done."""
    if not is_tokenizer_shipped(model.config):
        say("the image tokenizer has RANDOM weights: name a TokLIP that holds trained ones by --init")
    teacher = teacher_of(config.distil.teacher, model.config) if config.distil.start else None
    if teacher is not None:
        left = begin(model, teacher, config.distil.teacher)
        told = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        say(f"starting from the teacher {config.distil.teacher}" + (f"; drawn by seed: {told}" if left else ""))
    return teacher is not None


CODE_STD, CODE_NOISE = 0.02, 0.5  # of the paper's initialisation; the share of it that stays without structure


@torch.no_grad()
def structure_codes(model: Network, seed: int) -> None:
    """Start the embeddings of image codes from a random projection of the codes' own vectors, plus noise.

    Neighbouring codes look alike, and a model that begins with that has not to learn it of 2000 of them one by one.
    Raises UsageError for a model whose image tokenizer has no such vectors.
    """
    codes: nn.Module | None = getattr(model, "tokenizer", None)
    if isinstance(codes, FeatureTokenizer):
        codes = codes.codes
    if isinstance(codes, TokLIPTokenizer):
        codes = codes.trunk.vq
    quantizer = getattr(codes, "quantize", None)
    if not isinstance(model, FuseLIP) or not isinstance(quantizer, FSQ | BSQ | Codebook):
        raise UsageError(
            "structured_codes is for FuseLIP with an image tokenizer whose codes have vectors, as the grids' have; set "
            "structured_codes=false"
        )
    first, count = model.config.image_offset, model.config.num_codes
    vectors_KE = quantizer.vectors(torch.arange(count)).float()
    draw = generator("structured codes", seed).standard_normal((vectors_KE.shape[1], model.config.dim))
    projected_KD = vectors_KE @ torch.from_numpy(draw).float()
    rows_KD = model.token_embedding.weight[first : first + count]
    share = math.sqrt(1 - CODE_NOISE**2)
    rows_KD.copy_(share * CODE_STD * projected_KD / projected_KD.std() + CODE_NOISE * rows_KD)


def _folder(init: str) -> Path:
    if init.startswith(HUB):
        from fuselip.model import hub

        repo, _, revision = init.removeprefix(HUB).partition("@")
        return hub.download(repo, revision or None).folder
    folder = Path(init).expanduser()
    if not folder.is_dir():
        raise UsageError(f"init={init} is neither a checkpoint folder nor {HUB}OWNER/NAME[@REVISION]")
    return folder


def _load_tokenizer(model: FuseLIP, path: Path) -> None:
    """Fill the frozen tokenizer from a checkpoint of ours, of TiTok's, or of a tokenizer alone; the keys must fit."""
    file = weights_file(path) if path.is_dir() else path
    name = model.config.image_tokenizer
    if not file.is_file():
        raise UsageError(f"image_tokenizer={path} is neither a folder with weights nor a file of them")
    state = _tensors(file)
    target: nn.Module = model.image_tokenizer.model
    wanted = target.state_dict()
    if not wanted:
        raise UsageError(f"image_tokenizer={path}: {name} has no weights to load; leave it out")
    places: list[tuple[str, nn.Module]] = [("image_tokenizer.model.", target), ("encoder.", target), ("", target)]
    if isinstance(target, VQEncoder):  # it may be taken out of a TokLIP
        places.append(("visual.trunk.vq.", target))
    if isinstance(target, TokLIPTokenizer):
        places.append(("visual.", target))
    if isinstance(target, FeatureTokenizer):  # its grid is the package's; the tower is a late-fusion model's
        places.append(("model.visual.", target.tower))
    for prefix, module in places:
        found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        own = module.state_dict()
        if all(key in found and found[key].shape == tensor.shape for key, tensor in own.items()):
            module.load_state_dict({key: found[key] for key in own}, assign=True)
            module.requires_grad_(False)
            return
    missing = [key for key in wanted if key not in state]
    example = (missing or list(wanted))[0]
    raise UserError(
        f"{file} does not hold the weights of the image tokenizer {name!r}: {len(missing)} of "
        f"{len(wanted)} tensors are missing, others may be of another shape (such as {example})"
    )


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """Those of a checkpoint; LlamaGen's files hold them one table deeper."""
    if file.suffix == ".safetensors":
        return read_state_dict(file)
    with reading(file):
        found = load_pytorch(file)
    inner = found.get("model") if isinstance(found, Mapping) else None
    return as_tensors(inner if isinstance(inner, Mapping) else found, file)
