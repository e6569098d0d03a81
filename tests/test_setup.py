"""The set-up of the project: pins, notices, what a wheel holds."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pins() -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    return dict(line.split("==") for line in lines if line)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_are_exact_and_sorted() -> None:
    names = list(pins())
    assert names == sorted(names)
    assert all(name == normal(name) for name in names)
    assert re.fullmatch(r"[0-9.]+", pins()["torch"])  # no +cpu: that is for pip to choose


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or not metadata.version("torch").endswith("+cpu"),
    reason="the pins are those of Python 3.11 with a CPU build of torch",
)
def test_every_dependency_is_pinned_and_every_pin_is_needed() -> None:
    """Follows the requirements of the installed packages from ours; superfluous pins show where all extras are."""
    requirements = pytest.importorskip("packaging.requirements")
    complete = all(installed(name) for name in ("datasets", "webdataset", "img2dataset", "ray", "mteb"))
    needed: set[str] = set()
    queue = [("fuselip", frozenset({"all"} if complete else {"dev"}))]
    seen = set()
    while queue:
        name, extras = queue.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for text in metadata.requires(name) or []:
            requirement = requirements.Requirement(text)
            environments = [{"extra": extra} for extra in ("", *extras)]
            if requirement.marker is None or any(requirement.marker.evaluate(each) for each in environments):
                needed.add(normal(requirement.name))
                queue.append((normal(requirement.name), frozenset(requirement.extras)))
    needed.discard("fuselip")
    assert needed - set(pins()) == set()
    assert not complete or set(pins()) == needed


def installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def test_notice_names_what_is_shipped() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    shipped = [path for path in (ROOT / "fuselip/model/data").iterdir() if path.suffix != ".md"]
    assert shipped
    for path in shipped:
        assert path.relative_to(ROOT).as_posix() in notice
        assert hashlib.sha256(path.read_bytes()).hexdigest() in notice


def test_no_dependency_brings_torchvision() -> None:
    assert "torchvision" not in pins()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert not [name for name in project["dependencies"] if name.startswith("torchvision")]


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git says what belongs to the project")
def test_wheel_holds_the_packages_and_no_tests(tmp_path: Path) -> None:
    """Built from what a clone holds, without isolation (no network)."""
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "-w", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"fuselip", "datagen", "benchmarks", "leaderboard"}
    modules = {str(path.relative_to(ROOT)) for top in tops for path in (ROOT / top).rglob("*.py")}
    assert modules <= set(names)
    for needed in ("fuselip/py.typed", "fuselip/model/data/bpe_simple_vocab_16e6.txt.gz"):
        assert needed in names
    for licence in ("LICENSE", "NOTICE"):
        assert [name for name in names if name.endswith(f".dist-info/licenses/{licence}")]
