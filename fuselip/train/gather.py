"""The processes of one training run: what they tell each other, and sums that are the same in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fuselip.core.processes import close_group, open_group

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET_BYTES = 64 << 20


@dataclass(frozen=True)
class Peers:
    """Rank and number of processes. With one process every method is free and returns what it was given."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def counts(self, values: Sequence[int]) -> Tensor:
        """Every process's `values`: int64 [world, len(values)], on the CPU."""
        here = torch.tensor(values, dtype=torch.int64)
        if self.world == 1:
            return here[None]
        table = torch.zeros(self.world, len(values), dtype=torch.int64)
        table[self.rank] = here
        dist.all_reduce(table)
        return table

    def tell(self, value: Any) -> Any:
        """What process 0 holds."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in all of them."""
        found: list[Any] = [value] * self.world
        if self.world > 1:
            dist.all_gather_object(found, value)
        return found

    def copy_of(self, tensor: Tensor, shape: Sequence[int], source: int) -> Tensor:
        """The tensor of process `source`, whose shape is `shape`."""
        if self.world == 1 or 0 in shape:
            return tensor if source == self.rank else tensor.new_empty(shape)
        box = tensor.contiguous() if source == self.rank else tensor.new_empty(shape)
        dist.broadcast(box, src=source)
        return box

    def sum_at(self, tensor: Tensor, target: int) -> Tensor:
        """The sum over processes, to be read at process `target` alone."""
        if self.world > 1 and tensor.numel():
            tensor = tensor.contiguous()
            dist.reduce(tensor, dst=target)
        return tensor

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up `.grad` over processes, in place, many tensors to a message."""
        if self.world == 1:
            return
        bucket: list[Tensor] = []
        size = 0
        for parameter in parameters:
            assert parameter.grad is not None
            bucket.append(parameter.grad)
            size += parameter.grad.nbytes
            if size >= BUCKET_BYTES:
                self._sum_bucket(bucket)
                bucket, size = [], 0
        if bucket:
            self._sum_bucket(bucket)

    def same_start(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite by what process 0 holds, in place."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    @staticmethod
    def _sum_bucket(bucket: Sequence[Tensor]) -> None:
        flat = torch.cat([tensor.flatten() for tensor in bucket])
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in bucket])
        torch._foreach_copy_(list(bucket), [part.view_as(t) for part, t in zip(parts, bucket, strict=True)])


@contextmanager
def peers_of_environment() -> Iterator[Peers]:
    """The processes that torchrun started; one alone without it. The group is closed when the block ends.

    Raises UsageError where torchrun's environment is incomplete.
    """
    others = dist.is_available() and dist.is_initialized()
    if not open_group():
        yield Peers()
        return
    try:
        yield Peers(dist.get_rank(), dist.get_world_size())
        if not others:
            dist.barrier()  # one that leaves while others still talk to it can abort
    finally:
        if not others:
            close_group()
