"""FuseLIP: early-fusion multimodal embeddings. Importing this does not import torch.

encoder = fuselip.load("fuselip-b")
vectors = encoder.encode(["a cat", Path("cat.jpg"), (image, "rotate 30 degrees clockwise")])   # float32 [3, 512]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fuselip.core.types import ImageRef, Input

if TYPE_CHECKING:
    from fuselip.model.encoder_base import ModelEncoder

__all__ = ["ImageRef", "Input", "__version__", "load"]
__version__: str


def load(name: str = "fuselip-b", **options: Any) -> ModelEncoder:
    """Load an encoder by name; the options are those of `fuselip.model.encoder.load` (weights, device, ...)."""
    from fuselip.model.encoder import load as load_encoder

    return load_encoder(name, **options)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fuselip")
    raise AttributeError(f"module 'fuselip' has no attribute {name!r}")
