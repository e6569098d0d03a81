"""`fuselip` on a machine that has what training needs, and no other package: the others are hidden from its imports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from typing import Any

NEEDED = {"torch", "numpy", "PIL", "safetensors", "tokenizers", "click", "tqdm"}
# What torch itself needs or is made of. (`tokenizers` names huggingface_hub, and imports it nowhere.)
OF_TORCH = {"torchgen", "functorch", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock", "fsspec"}
OF_TORCH |= {"typing_extensions", "nvidia", "triton", "setuptools", "pkg_resources"}
OURS = {"fuselip", "datagen", "benchmarks"}


class Hiding:
    """A finder of modules that finds none of the hidden ones."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        known = top in sys.stdlib_module_names or top in NEEDED | OF_TORCH | OURS
        found: ModuleSpec | None = self.finder.find_spec(name, path, target) if known or top.startswith("_") else None
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)


if __name__ == "__main__":
    sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
    from fuselip.cli import main

    main()
