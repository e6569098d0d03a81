"""The user's own code: an attribute of a module or of a file, with what goes wrong in it told in one line."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.encoders.faults import blame
from fuselip.core import plugins
from fuselip.core.errors import UsageError, UserError

OURS = str(Path(__file__).parents[2])


def load_module(target: str) -> Any:
    """The attribute "package.module:attr". UsageError where a part is missing, UserError where importing it fails."""
    append_to_path(os.getcwd())
    try:
        return plugins.load(target)
    except (UserError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # SystemExit too: a script without a main guard
        raise UserError(f"importing {target.partition(':')[0]!r} failed: {blame(error)}") from error


def load_file(path_text: str, attribute: str) -> Any:
    """The attribute of a Python file; modules beside it and in the working directory can be imported by it."""
    path = Path(path_text).expanduser().resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {path_text}; the model is written ./file.py:attribute")
    append_to_path(str(path.parent))
    append_to_path(os.getcwd())
    module = _run(path, path_text)
    if not attribute:
        raise UsageError(f"{path_text} does not say which of its encoders; {_suggest(module, path_text)}")
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            hint = plugins.did_you_mean(part, vars(module)) or f"; {_suggest(module, path_text)}"
            raise UsageError(f"{path_text} has no {attribute!r}{hint}")
        found = getattr(found, part)
    return found


def append_to_path(folder: str) -> None:
    """Last, so that a user's own `datagen/` or `statistics.py` hides nothing of ours or of Python's.

    Ours goes before it: an editable install may be found by a hook that is asked only after all of sys.path.
    """
    sys.path += [each for each in (OURS, folder) if each not in sys.path]


def _run(path: Path, shown: str) -> ModuleType:
    name = f"fuselip_user_{path.stem}"  # a name of its own: the file may be called like an installed package
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up
    try:
        spec.loader.exec_module(module)
    except (UserError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise UserError(f"{shown} failed while it was imported: {blame(error)}") from error
    return module


def _suggest(module: ModuleType, shown: str) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if callable(getattr(value, "encode", None)) and getattr(value, "__module__", None) == module.__name__
    ]
    return " or ".join(f"write {shown}:{name}" for name in names) or "no class with an encode method is in it"
