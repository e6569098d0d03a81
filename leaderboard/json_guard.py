"""A stranger's JSON: decoded without NaN, infinity or half characters, and no deeper than what reads it can follow."""

from __future__ import annotations

from typing import Any

import msgspec

DEEPEST = 24


def decode(data: bytes) -> tuple[Any, str]:
    """(value, "") or (None, why it is not taken). The size of `data` is the caller's to bound."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        return None, f"is not JSON that is taken ({str(error)[:120]})"
    return (None, f"is nested more than {DEEPEST} deep") if _depth(value) > DEEPEST else (value, "")


def _depth(value: Any) -> int:
    """How deeply lists and objects are nested; without recursion, which is what a deep one is meant to exhaust."""
    layer, depth = [value], 0
    while layer := [part for part in layer if isinstance(part, dict | list)]:
        layer = [part for held in layer for part in (held.values() if isinstance(held, dict) else held)]
        depth += 1
    return depth
