"""Prints what has grown long: files over 300 lines, functions over 60. A smell to look into, not a rule."""

from __future__ import annotations

import ast
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 300, 60
FOLDERS = ("fuselip", "datagen", "benchmarks", "leaderboard", "examples", "tests")


def long_parts(root: Path) -> list[str]:
    """One line for each, the longest first."""
    found = []
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.py"):
            code = path.read_text("utf-8")
            name, length = path.relative_to(root), len(code.splitlines())
            if length > FILE_LINES:
                found.append((length, f"{length:5} lines  {name}"))
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    if length > FUNCTION_LINES:
                        found.append((length, f"{length:5} lines  {name}:{node.lineno} {node.name}"))
    return [line for _, line in sorted(found, reverse=True)]


if __name__ == "__main__":
    rows = long_parts(Path(__file__).parents[1])
    print("\n".join(rows) or f"no file over {FILE_LINES} lines, no function over {FUNCTION_LINES}")  # noqa: T201
