"""Builds that are killed or interrupted at several moments end with the same bytes; memory stays flat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sets import cli, command, hashes, source, spoil

from datagen import output


def _running(out: Path) -> bool:
    return (out / "build.json").exists()


def _some_records(out: Path) -> bool:
    return len(output.finished(out)) >= 3


def _half_written(out: Path) -> bool:
    return len(output.finished(out)) >= 6 and any((out / "data").rglob("*.part"))


def _tar_without_record(out: Path) -> bool:
    tars = {int(path.stem) for path in (out / "data").glob("*/*.tar")}
    return len(tars) >= 8 and bool(tars - output.finished(out))


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A source that takes seconds, with bad items in it, and the hashes of an uninterrupted build."""
    folder = tmp_path_factory.mktemp("longer")
    spec = source(folder / "images", 240, 640, 480)
    spoil(folder / "images")
    done = cli("build-captions", "--source", spec, "--out", folder / "set", "--shard-items", 8, "--workers", 2)
    assert done.returncode == 0, done.stderr
    return spec, hashes(folder / "set")


@pytest.mark.slow
@pytest.mark.parametrize("moment", [_running, _some_records, _half_written, _tar_without_record])
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_builds_resume_to_the_same_bytes(
    workers: int, moment: Callable[[Path], bool], longer: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    spec, wanted = longer
    out = tmp_path / "set"
    again = command("build-captions", "--source", spec, "--out", out, "--shard-items", 8, "--workers", workers)
    with subprocess.Popen(again, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        _wait_for(moment, out, process)
        children = _children(process.pid)
        process.kill()
        process.wait()
    assert not (out / "manifest.json").exists()
    assert len(output.finished(out)) < 30
    assert hashes(out) != wanted
    _assert_gone(children)
    done = subprocess.run(again, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert hashes(out) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_finished(workers: int, longer: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    spec, wanted = longer
    out = tmp_path / "set"
    again = command("build-captions", "--source", spec, "--out", out, "--shard-items", 8, "--workers", workers)
    with subprocess.Popen(again, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        _wait_for(_some_records, out, process)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.strip().splitlines()[-1].startswith("interrupted; what was finished is kept")
    assert "Traceback" not in told
    assert 3 <= len(output.finished(out)) < 30
    assert not list(out.rglob("*.part"))
    assert subprocess.run(again, capture_output=True, timeout=120, check=False).returncode == 0
    assert hashes(out) == wanted


def _wait_for(moment: Callable[[Path], bool], out: Path, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 60
    while not moment(out):
        assert process.poll() is None, "it ended before the moment came"
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def _assert_gone(pids: list[int]) -> None:
    """Workers end when their main process was killed."""
    deadline = time.monotonic() + 10
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists() and "(zombie)" not in _state(pid)]:
        assert time.monotonic() < deadline, f"left behind: {alive}"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "(zombie)"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    """Ten times the items: what the listing keeps for its duplicates, some hundred bytes an item, and no more."""
    peaks = []
    for count in (200, 2000):
        spec = source(tmp_path / f"images-{count}", count)
        code = (
            "import resource, sys\nfrom pathlib import Path\n"
            "from fuselip.core import images\nfrom sets import captions\n"
            "images._decoded.limit = 0\n"  # the cache of decoded pixels has a limit of its own
            "captions(sys.argv[1], Path(sys.argv[2]), 50)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        arguments = [sys.executable, "-c", code, spec, tmp_path / f"set-{count}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True, env=environment)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 6, f"MiB: {peaks}"
