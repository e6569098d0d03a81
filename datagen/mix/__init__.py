"""Mixes: several built sets as one index that training reads. `MixReader` is loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datagen.mix.reader import MixReader

__all__ = ["MixReader"]


def __getattr__(name: str) -> Any:
    if name == "MixReader":
        from datagen.mix.reader import MixReader

        return MixReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
