"""What the adapters of torch libraries share: a missing package in words, device, precision, pictures, the record."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from PIL import Image

from fuselip.core.errors import UserError
from fuselip.core.provenance import version
from fuselip.core.types import ImageRef, Scalar

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "fp16"]
# Scaling the short side of a 64000000x1 picture to 224 would take terabytes; Qwen's processors refuse beyond 200.
MAX_ASPECT = 100


def need(module: str, extra: str) -> Any:
    """The imported module. Raises UserError that names our extra where it is missing or cannot be imported."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name == package:
            raise UserError(
                f"this kind of model needs the package {package}; run `pip install 'fuselip[{extra}]'`"
            ) from error
        raise UserError(f"importing {module} failed: {error}; install what it needs") from error
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(f"importing {module} failed: {' '.join(str(error).split())[:300]}") from error


@contextmanager
def hub_offline(wanted: bool) -> Iterator[None]:
    """The hub's client kept from the network, for libraries that load through it and have no option of their own."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def torch_device(device: str) -> Any:
    """The torch.device; "auto" is the best there is. Raises UserError for one that this machine lacks."""
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
    if not present.get(device, False):
        raise UserError(f"device {device} is not available to this torch ({torch.__version__}); choose --device cpu")
    return torch.device(device)


def torch_dtype(precision: str) -> Any:
    """The torch.dtype of fp32, bf16 or fp16."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def settings_of(device: Any, packages: tuple[str, ...], **more: Scalar | None) -> dict[str, Scalar | None]:
    """What is recorded of where and on what a model runs: device, threads, versions of `packages`, and `more`."""
    import torch

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in ("torch", "pillow", *packages)},
        **more,
    }


def machine() -> list[str]:
    """The instruction sets that floats depend on; part of every fingerprint."""
    import torch

    return [platform.machine(), torch.backends.cpu.get_cpu_capability()]


def to_device(tensors: Mapping[str, Any], device: Any, dtype: Any) -> dict[str, Any]:
    """The tensors there, floating ones in that precision; what is no tensor is left out."""
    kept = {name: value for name, value in tensors.items() if hasattr(value, "to")}
    return {
        name: value.to(device, dtype) if value.is_floating_point() else value.to(device) for name, value in kept.items()
    }


def picture(ref: ImageRef) -> Image.Image:
    """RGB; beyond 100:1 only its middle, of that shape: libraries fail on such strips, or need memory without end."""
    image = ref.load()
    width, height = image.size
    longest = MAX_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(width - longest, 0) // 2, max(height - longest, 0) // 2
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))
