"""An encoder of somebody else's: the example package, installed and found by its entry point; and the ten-line file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package in a folder of its own, as pip installs it, without a network."""
    folder = tmp_path_factory.mktemp("third-party")
    source, target = folder / "source", folder / "target"
    shutil.copytree(EXAMPLES / "third_party", source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def bench(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with the installed package in reach."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "-m", "benchmarks.cli", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done


def test_installed_package_is_listed_and_keeps_the_contract(installed: Path, tmp_path: Path) -> None:
    listed = bench("list", "models", cwd=tmp_path, path=installed)
    assert listed.returncode == 0, listed.stderr
    assert "colour-words" in listed.stdout
    assert "colour-words 0.1.0" in " ".join(listed.stdout.split())
    checked = bench("check", "--model", "colour-words", "--model-arg", "grid=6", cwd=tmp_path, path=installed)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "warn" not in checked.stdout
    wrong = bench("check", "--model", "colour-words", "--model-arg", "grid=0", cwd=tmp_path, path=installed)
    assert wrong.returncode == 1
    assert "grid must be at least 1 (" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_installed_package_runs_by_its_entry_point_and_beats_chance(installed: Path, tmp_path: Path) -> None:
    done = bench("run", "--model", "colour-words", "--suite", "quick", "--output", "out", cwd=tmp_path, path=installed)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    above = [task["name"] for task in summary["tasks"] if task["low"] > task["chance"]]
    assert any("flip" in name for name in above), summary["tasks"]


def test_its_task_is_listed_fair_and_run(installed: Path, tmp_path: Path) -> None:
    listed = bench("list", "tasks", cwd=tmp_path, path=installed)
    assert "colour-words/painted" in listed.stdout
    checked = bench("check-task", "colour-words/painted", cwd=tmp_path, path=installed)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "a constant encoder scores chance, 3.3%" in checked.stdout
    command = ["run", "--model", "colour-words", "--task", "colour-words/*", "--output", "own"]
    done = bench(*command, cwd=tmp_path, path=installed)
    assert done.returncode == 0, done.stderr
    [task] = json.loads((tmp_path / "own" / "summary.json").read_text("utf-8"))["tasks"]
    assert task["value"] > task["chance"]
    assert set(task["skills"]) == {"above"}


def test_own_tests_of_the_package(installed: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "tests"]
    done = subprocess.run(
        command,
        cwd=EXAMPLES / "third_party",
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_ten_line_file(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "my_encoder.py", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise RuntimeError('a user folder hides ours')\n")
    script = [str(Path(sys.executable).parent / "fuselip-bench"), "check", "--model", "./my_encoder.py:MyEncoder"]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    order" in done.stdout
