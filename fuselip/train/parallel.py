"""What a run does to its model before the first step: recomputation, compilation, sharding; and whole tensors again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fuselip.core.errors import UsageError
from fuselip.model.checkpoints import Network
from fuselip.model.fuselip import FuseLIP
from fuselip.model.transformer import PreNorm
from fuselip.train.config import Train
from fuselip.train.gather import Peers


def share(model: Network, config: Train, peers: Peers) -> None:
    """Set the model up in place as the run wants it.

    "ddp": every process holds everything, and gradients are added up. "fsdp": the parameters of every block, their
    gradients and optimizer states are split over processes; tables, norms and heads are held by all.
    """
    for (
        parameter
    ) in model.parameters():  # mapped files and numpy align memory otherwise, and kernels then sum otherwise
        parameter.data = parameter.data.clone()
    peers.same_start(parameter.data for parameter in model.parameters())
    blocks = [block for block in model.modules() if isinstance(block, PreNorm) and _trained(block)]
    if config.parallel == "fsdp":
        _refuse_fsdp(model, config)
    for block in blocks:
        if config.checkpointing:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
        if config.compile:
            block.compile(dynamic=True)
        if config.parallel == "fsdp" and peers.world > 1:
            from torch.distributed.fsdp import fully_shard

            fully_shard(block)


def sum_gradients(parameters: Iterable[nn.Parameter], peers: Peers) -> None:
    """Gradients of the sum of all processes' losses, in place."""
    found = list(parameters)
    sharded = [parameter.grad for parameter in found if is_sharded(parameter) and parameter.grad is not None]
    if sharded:
        torch._foreach_mul_(sharded, float(peers.world))  # these were averaged on their way
    peers.sum_gradients(parameter for parameter in found if not is_sharded(parameter))


@torch.no_grad()
def clip(parameters: Iterable[nn.Parameter], limit: float, peers: Peers) -> Tensor:
    """Scale all gradients in place to a norm of at most `limit` (0: no limit); the norm that they had."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    local = [gradient.to_local() for gradient in gradients if is_sharded(gradient)]  # type: ignore[attr-defined]
    held = [gradient for gradient in gradients if not is_sharded(gradient)]
    squared = torch.stack(torch._foreach_norm(held)).double().square().sum()
    if local:
        squared += peers.sum(torch.stack(torch._foreach_norm(local)).double().square().sum())
    norm = squared.sqrt().float()
    if limit:
        torch._foreach_mul_([*held, *local], (limit / (norm + 1e-6)).clamp(max=1.0))
    return norm


def whole(tensor: Tensor) -> Tensor:
    """The tensor without its sharding; all processes must ask."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def put(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be sharded."""
    if is_sharded(target):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)  # type: ignore[attr-defined]
    target.copy_(value)


def is_sharded(tensor: Any) -> bool:
    return hasattr(tensor, "full_tensor")


def _trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _refuse_fsdp(model: Network, config: Train) -> None:
    if not dist.is_available():
        raise UsageError("parallel=fsdp needs a torch with torch.distributed; use ddp")
    if not isinstance(model, FuseLIP):
        raise UsageError("parallel=fsdp is for FuseLIP: a batch without images would stall the others; use ddp")
    if config.precision == "fp16":
        raise UsageError("parallel=fsdp takes fp32 or bf16, not fp16")
