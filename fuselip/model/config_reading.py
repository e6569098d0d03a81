"""Reading a config.json key by key: what is wrong is named with its file and key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fuselip.core.errors import UserError

Name = TypeVar("Name", bound=str)


def choice(value: Mapping[str, Any], key: str, allowed: Mapping[str, Name], where: str) -> Name:
    """Our name of the word that stands there. Raises UserError for one that is not among `allowed`."""
    found = value.get(key)
    if not isinstance(found, str) or found not in allowed:
        raise UserError(f"{where}: {key} is {found!r}; known: {', '.join(allowed)}")
    return allowed[found]


def number(value: Mapping[str, Any], key: str, low: int, high: int, where: str) -> float:
    """Raises UserError for what is no number from `low` to `high`."""
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        raise UserError(f"{where}: {key} is {found!r}; it must be a number from {low} to {high}")
    return found


def require(value: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Raises UserError where a key says something else than `expected`."""
    for key, wanted in expected.items():
        if value.get(key) != wanted:
            raise UserError(f"{where}: {key} is {value.get(key)!r}, and this model needs {wanted!r}")
