"""TokLIPs small enough for every test: with LlamaGen's tokenizer in small, and with IBQ's; the file as published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fuselip.model import models
from fuselip.model.models import Model, Official
from fuselip.model.sizes import TEXTS, TransformerSize
from fuselip.model.toklip import TokLIP
from fuselip.model.toklip_config import SIZES, TokLIPConfig, TokLIPSize
from fuselip.model.vq_sizes import VQVariant

VQ = VQVariant("tiny-vq", 32, (1, 2), 1, 16, 64, 4, side=8)
NAMES = {"toklip-tiny": VQ, "toklip-tiny-ibq": replace(VQ, repo="tiny-ibq", depth=2, nearest="product")}
OFFICIAL = Official("owner/TokLIP", "TokLIP_tiny.pt", "Terms of Test", "This file is under the Terms of Test.")
_TAMING = (
    (r"coder\.mid\.0\.", "coder.mid.block_1."),
    (r"coder\.mid\.1\.", "coder.mid.attn_1."),
    (r"coder\.mid\.2\.", "coder.mid.block_2."),
    (r"encoder\.conv_blocks\.(\d+)\.res\.", r"encoder.down.\1.block."),
    (r"encoder\.conv_blocks\.", "encoder.down."),
)


@contextmanager
def registered() -> Iterator[None]:
    """The tables of this process know the tiny models."""
    for name, variant in NAMES.items():
        size = TokLIPSize(
            TransformerSize(32, 2, 2), 48, variant, "bytes", TEXTS["bytes"].num_tokens, "crop", context_length=8
        )
        SIZES[name] = size
        models.MODELS[name] = Model(TokLIPConfig(name), official=OFFICIAL)
    yield
    for name in NAMES:
        del SIZES[name], models.MODELS[name]


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """Its tensors drawn, norms around one."""
    draws = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        noise = torch.randn(tensor.shape, generator=draws)
        with torch.no_grad():
            tensor.copy_(1 + 0.1 * noise if "norm" in name and name.endswith("weight") else 0.3 * noise)
    return module


def whole(name: str) -> TokLIP:
    """With everything that a published file has."""
    model = filled(TokLIP(TokLIPConfig(name), whole=True))
    assert isinstance(model, TokLIP)
    return model.eval()


def published(model: TokLIP) -> dict[str, Any]:
    """What the training code saves: the state dict beside the optimizer's, the epoch, loss scales."""
    state: dict[str, Tensor] = {f"module.{_theirs(model, key)}": value for key, value in model.state_dict().items()}
    del state["module.logit_bias"]
    if model.config.variant == NAMES["toklip-tiny-ibq"]:
        state["module.visual.trunk.vq.model_ema.decay"] = torch.tensor(0.999)
    return {
        "epoch": np.int64(32),
        "name": "a run",
        "state_dict": state,
        "optimizer": {"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": np.float64(1e-5)}]},
        "scaler": {"scale": np.float32(65536), "growth_factor": 2.0},
    }


def write(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def _theirs(model: TokLIP, key: str) -> str:
    if model.config.variant == NAMES["toklip-tiny-ibq"]:
        for pattern, name in _TAMING:
            key = re.sub(pattern, name, key)
    return key
