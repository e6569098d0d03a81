"""AdamW as the paper sets it: which parameters decay, warm-up and cosine, the bounds of the temperature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fuselip.model.checkpoints import Network
from fuselip.model.late_fusion import LateFusion
from fuselip.train.config import Optim
from fuselip.train.parallel import is_sharded

MAX_LOG_SCALE = math.log(100)
_NO_DECAY = ("bn", "ln", "bias", "logit_scale")


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that are trained, by name; a tied one once, and not those of the frozen image tokenizer."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def decays(name: str, parameter: Tensor) -> bool:
    """Matrices and tables decay; vectors, numbers, norms and biases do not."""
    return parameter.ndim >= 2 and not any(part in name for part in _NO_DECAY)


def adamw(model: nn.Module, config: Optim) -> torch.optim.AdamW:
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}  # sharded tensors do not mix with whole ones
    for name, parameter in trainable(model).items():
        groups.setdefault((decays(name, parameter), is_sharded(parameter)), []).append(parameter)
    tables = [
        {"params": params, "weight_decay": decay * config.weight_decay}
        for (decay, _), params in sorted(groups.items(), key=lambda item: item[0])
    ]
    return torch.optim.AdamW(tables, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps, fused=True)


def learning_rate(config: Optim, step: int, steps: int) -> float:
    """For the step of that number (from 0): linear to the peak over the warm-up, then half a cosine to zero."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - config.warmup) / max(1, steps - config.warmup)))


def temperature(model: Network) -> tuple[nn.Parameter, nn.Parameter]:
    """The logarithm of the logits' scale, and their bias."""
    owner = model.model if isinstance(model, LateFusion) else model
    return owner.logit_scale, owner.logit_bias


@torch.no_grad()
def clamp_scale(model: Network) -> None:
    """After every step: the scale stays within 1 and 100."""
    temperature(model)[0].clamp_(0, MAX_LOG_SCALE)
