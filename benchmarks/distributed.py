"""Several processes for one run (torchrun): planned batches are split among them, process 0 scores and writes."""

from __future__ import annotations

from functools import cache
from typing import Any

from fuselip.core.processes import open_group, world_size


class TorchPeers:
    """`fuselip.core.embed.Peers` over a gloo group; vectors travel through main memory, whatever the device."""

    def __init__(self) -> None:
        import torch.distributed as dist

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
    return TorchPeers() if world_size() > 1 and open_group() else None
