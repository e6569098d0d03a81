"""Where an encoder's code came from, for the record of a run: class, file, sha256 of the sources, package version."""

from __future__ import annotations

import hashlib
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def origin_of(encoder: Any) -> dict[str, str]:
    """What can be said of the code: "class", "file" (within its package), "sha256", "package". Missing where unknown.

    The hash covers every .py file of the encoder's top-level package, or its one file. It does not cover weights or
    libraries, so it is no fingerprint: vectors are not reused on its strength.
    """
    module_name = _module_of(encoder)
    found = {"class": f"{module_name}:{type(encoder).__qualname__}"}
    path = getattr(sys.modules.get(module_name), "__file__", None)
    if path is None or not Path(path).is_file():
        return found
    top_name = module_name.partition(".")[0]
    top = getattr(sys.modules.get(top_name), "__file__", None)
    is_package = top is not None and Path(top).name == "__init__.py"
    root = Path(top).parent if top and is_package else Path(path).parent
    sources = sorted(root.rglob("*.py")) if is_package else [Path(path)]
    found["file"] = Path(path).relative_to(root.parent if is_package else root).as_posix()
    found["sha256"] = _hash(sources, root)
    for distribution in metadata.packages_distributions().get(top_name, [])[:1]:
        found["package"] = f"{distribution} {metadata.version(distribution)}"
    return found


def _module_of(encoder: Any) -> str:
    """The module that defines its class; that of its `encode` where the class is only a container from elsewhere."""
    if any("encode" in vars(base) for base in type(encoder).__mro__):
        return type(encoder).__module__
    return getattr(encoder.encode, "__module__", None) or type(encoder).__module__


def _hash(sources: list[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for source in sources:
        data = source.read_bytes()
        digest.update(f"{source.relative_to(root).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()
