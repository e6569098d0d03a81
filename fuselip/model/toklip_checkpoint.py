"""TokLIP's published training checkpoints: the weights out of one .pt file, without running any of it.

They hold the state dict beside the optimizer's, the epoch and loss scales, some of these as numpy scalars.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fuselip.core.errors import UserError
from fuselip.model.checkpoints import as_tensors, blank, check_shapes, fill, load_pytorch, reading, save_model
from fuselip.model.llamagen_vq import ibq_name
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_config import TokLIPConfig

VQ = "visual.trunk.vq."
# The decoder draws pixels; the rest counts codes, averages weights, or belongs to the loss of the tokenizer's training.
UNUSED = tuple(VQ + part for part in ("decoder.", "post_quant_conv.", "quantize.codebook_used", "model_ema.", "loss."))
MODULE = "module."
# The only things beside tensors that a file may name: numbers of numpy, under the names of numpy 1 and 2.
_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_NUMBERS = (np.float64, np.float32, np.int64, np.int32, np.bool_)


def load_official(config: TokLIPConfig, path: Path) -> TokLIP:
    """The model of `config` with the weights of a published file.

    Raises UserError for a damaged file, for one that names anything but tensors and numbers, and for missing,
    unexpected or mis-shaped tensors.
    """
    state = _our_names(_state_dict(_read(path), path))
    model = blank(config)
    state.setdefault("logit_bias", torch.zeros(()))  # of the sigmoid loss, which TokLIP is not trained with
    check_shapes(model.state_dict(), state, path, config.architecture, "Name the model that this file is of")
    fill(model, state)
    return model


def save_vision(model: TokLIP, folder: Path) -> None:
    """Write the image tower alone (encoder, quantiser, transformer) as config.json and model.safetensors.

    It loads as the model that it came from, and embeds images.
    """
    alone = blank(TokLIPConfig(model.config.name, with_text=False))
    fill(alone, {key: value for key, value in model.state_dict().items() if not key.startswith("text.")})
    save_model(alone, folder)


def _read(path: Path) -> Any:
    scalar: Any = np.float64(0).__reduce__()[0]  # numpy's module of that function differs between versions
    kinds = [type(np.dtype(number)) for number in _NUMBERS]
    allowed: list[Any] = [*((scalar, name) for name in _SCALARS), (np.dtype, "numpy.dtype"), *kinds]
    with torch.serialization.safe_globals(allowed), reading(path):
        return load_pytorch(path)


def _state_dict(found: Any, path: Path) -> dict[str, Tensor]:
    inner = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(inner, Mapping) or not inner:
        raise UserError(f"{path} holds no state_dict; is it a checkpoint of TokLIP?")
    named = {str(key): value for key, value in inner.items()}
    if all(key.startswith(MODULE) for key in named):
        named = {key.removeprefix(MODULE): value for key, value in named.items()}
    return as_tensors({key: value for key, value in named.items() if not key.startswith(UNUSED)}, path)


def _our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """IBQ's files name the tokenizer's blocks differently; LlamaGen's names are left as they are."""
    return {VQ + ibq_name(key.removeprefix(VQ)) if key.startswith(VQ) else key: tensor for key, tensor in state.items()}
