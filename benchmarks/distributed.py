"""Several processes for one run (torchrun): planned batches are split among them, process 0 scores and writes."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from fuselip.core.errors import UsageError, UserError


class TorchPeers:
    """`fuselip.core.embed.Peers` over a gloo group; vectors travel through main memory, whatever the device."""

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        if not dist.is_available():
            raise UserError("this torch is built without torch.distributed; run without torchrun")
        if not dist.is_initialized():
            dist.init_process_group("gloo")
        self._group = dist.new_group(backend="gloo") if dist.get_backend() != "gloo" else None
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def tell(self, value: Any) -> Any:
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._group)
        return box[0]

    def collect(self, value: Any) -> list[Any]:
        import torch.distributed as dist

        found: list[Any] | None = [None] * self.world if self.rank == 0 else None
        dist.gather_object(value, found, dst=0, group=self._group)
        return found or []


@cache
def peers() -> TorchPeers | None:
    """The processes of this run; None for a run of one. To be called before a model is put on a device.

    Raises UsageError where torchrun's environment is incomplete.
    """
    world = os.environ.get("WORLD_SIZE", "1")
    if not world.isdigit():
        raise UsageError(f"WORLD_SIZE is {world!r}, not a number; start the run with torchrun")
    if int(world) == 1:
        return None
    lacking = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if lacking:
        raise UsageError(f"WORLD_SIZE is {world}, but {', '.join(lacking)} is not set; start the run with torchrun")
    return TorchPeers()
