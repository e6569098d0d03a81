"""Names that stand for code ("module:attr"): from our own tables, the command line or the user's config only."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

from fuselip.core.errors import UsageError


def load(target: str) -> Any:
    """Import "package.module:attr" (dots allowed in attr). Raises UsageError naming the part that failed."""
    module_name, separator, attribute = target.partition(":")
    if not separator or not module_name or not attribute:
        raise UsageError(f"{target!r} does not name code; write it as package.module:attribute")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise UsageError(f"no module named {error.name!r} (from {target!r}); is its package installed?") from error
        raise UsageError(f"importing {module_name!r} failed: {error}; install what it needs") from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            hint = did_you_mean(part, [name for name in dir(found) if not name.startswith("_")])
            raise UsageError(f"module {module_name!r} has no attribute {attribute!r}{hint}") from None
    return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
