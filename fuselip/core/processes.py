"""torchrun's processes: one group for all that a program does, closed before Python shuts down."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from fuselip.core.errors import UsageError, UserError


def world_size() -> int:
    """The number of processes that torchrun started; 1 without it. Raises UsageError where it is no number."""
    world = os.environ.get("WORLD_SIZE", "1")
    if not world.isdigit() or not int(world):
        raise UsageError(f"WORLD_SIZE is {world!r}, not a number of processes; start the run with torchrun")
    return int(world)


def open_group() -> bool:
    """Join the group of this run's processes, before a model is put on a device; False where this one is alone.

    Raises UsageError where torchrun's environment is incomplete.
    """
    world = world_size()
    import torch
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return True
    if world == 1:
        return False
    lacking = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if lacking:
        raise UsageError(f"WORLD_SIZE is {world}, but {', '.join(lacking)} is not set; start the run with torchrun")
    if not dist.is_available():
        raise UserError("this torch is built without torch.distributed; run without torchrun")
    # Imported while there is a group (any optimizer imports it), it would keep that group in its functions' defaults.
    import_module("torch.distributed.nn.functional")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    atexit.register(close_group)
    return True


def close_group() -> None:
    """Leave the group. A thread of it that lets go of a tensor while Python shuts down would abort the process."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def end(code: int) -> NoReturn:
    """End this program. One of several processes ends at once: parts of torch keep a closed group's threads alive."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or nobody reads it any more
                stream.flush()
        os._exit(code)
    sys.exit(code)
