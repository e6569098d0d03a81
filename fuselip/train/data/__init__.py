"""The data of training: sources of groups, batches of whole groups, caches, prepared sets.

for batch, state in batches(DataConfig((Part("datagen.training:scenes", 1.0, {"kind": "crop"}),)), ...): ...

Names are loaded on first use: worker processes import parts of this package, and need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuselip.train.data.config import DataConfig, Part
    from fuselip.train.data.feed import batches
    from fuselip.train.data.prepare import materialise
    from fuselip.train.data.state import DataState

__all__ = ["DataConfig", "DataState", "Part", "batches", "materialise"]

_HOMES = {
    "DataConfig": "config",
    "DataState": "state",
    "Part": "config",
    "batches": "feed",
    "materialise": "prepare",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
