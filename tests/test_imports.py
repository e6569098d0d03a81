"""Imports point one way, and nothing imports torch before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fuselip", "datagen", "benchmarks", "leaderboard")
ALLOWED = {  # the longest prefix of a module's name says what of ours it may import, beside its own part
    "fuselip.core": (),
    "fuselip.model": ("fuselip.core",),
    "fuselip.train": ("fuselip.core", "fuselip.model"),
    "fuselip": ("fuselip.core", "fuselip.model"),
    "datagen": ("fuselip.core",),
    "benchmarks": ("fuselip.core", "datagen"),
    "leaderboard": ("fuselip.core", "benchmarks"),
}
EXTRAS = {"leaderboard.store": "alembic", "leaderboard.server": "fastapi", "leaderboard.site": "jinja2"}


def test_imports_point_one_way() -> None:
    modules = list(_modules())
    assert {name.partition(".")[0] for name, _ in modules} == set(PACKAGES)
    assert [wrong for name, path in modules for wrong in violations(name, path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("module", "code", "wrong"),
    [
        ("fuselip.core.x", "import benchmarks.types", True),
        ("fuselip.core.x", "def f():\n    from fuselip.model import y", True),
        ("fuselip.core.x", "from fuselip.core.types import Input", False),
        ("fuselip.core.x", "from fuselip import model", True),
        ("fuselip.core.x", "from fuselip import core", False),
        ("fuselip.model.x", "from fuselip.train import step", True),
        ("datagen.x", "import fuselip.model", True),
        ("datagen.x", "from benchmarks import types", True),
        ("benchmarks.x", "from fuselip.model.encoder import load", True),
        ("benchmarks.x", "from fuselip import load", True),
        ("benchmarks.x", "from fuselip import __version__", False),
        ("benchmarks.x", "from datagen.transforms import flip", False),
        ("leaderboard.x", "import datagen", True),
        ("leaderboard.x", "import benchmarks.results", False),
    ],
)
def test_the_check_sees(module: str, code: str, wrong: bool) -> None:
    assert bool(violations(module, code)) is wrong


def test_modules_do_not_import_torch() -> None:
    """Every module but those of the model and of training, and those whose extra is not installed, in one process."""
    left_out = ("fuselip.model", "fuselip.train", *(part for part, extra in EXTRAS.items() if not find_spec(extra)))
    names = [name for name, _ in _modules() if not name.startswith(left_out)]
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    _assert_no_torch(code, names)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["check", "--help"], ["list", "models"], ["list", "tasks"], ["list", "suites"]],
    ids=" ".join,
)
def test_the_command_line_does_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom benchmarks.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as leave:\n    assert not leave.code, leave.code\n"
    )
    assert _assert_no_torch(code, arguments).strip()


def violations(module: str, code: str) -> list[str]:
    """Imports of ours in `code` that the module's place does not allow."""
    part = max((prefix for prefix in ALLOWED if _within(module, prefix)), key=len)
    allowed = (*ALLOWED[part], part) if part != "fuselip" else ALLOWED[part]
    return [f"{module} imports {target}" for target in _imports(code) if not any(_within(target, p) for p in allowed)]


def _imports(code: str) -> Iterator[str]:
    """Dotted names of ours that are imported. `from fuselip import core` names fuselip.core; __version__ is free."""
    for node in ast.walk(ast.parse(code)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names if alias.name != "__version__"]
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def _modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _assert_no_torch(code: str, arguments: list[str]) -> str:
    check = "loaded = sorted({'torch', 'transformers', 'torchvision'} & set(sys.modules))\nassert not loaded, loaded\n"
    command = [sys.executable, "-c", code + check, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
