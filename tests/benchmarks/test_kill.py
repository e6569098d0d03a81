"""kill -9 at several points of a run: a partial state is seen, and the same command ends with the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.pictures import draw
from tests.benchmarks.test_evaluate import hashes

SLOW = """
import time
from tests.benchmarks.pictures import Thumbnails
from fuselip.core.encoder import EncoderInfo, Limits

class Slow(Thumbnails):
    limits = Limits(images=4, inputs=16)

    def __init__(self, fingerprint: str = ""):
        self.info = EncoderInfo("slow", fingerprint=fingerprint or None)

    def encode(self, inputs):
        time.sleep(0.02)
        return super().encode(inputs)
"""


class Bench:
    """The command line in processes of its own, with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "slow.py").write_text(SLOW)
        self.source = draw(folder / "pictures", 3)

    def start(self, output: str, fingerprint: str = "") -> subprocess.Popen[str]:
        model = ["--model", "./slow.py:Slow", "--model-arg", f"fingerprint={fingerprint}"]
        command = ["-m", "benchmarks.cli", "run", *model, "--source", str(self.source), "--output", output]
        environment = {**os.environ, "FUSELIP_CACHE": str(self.folder / f"cache-{output}")}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=environment,
            stdout=-1,
            stderr=-1,
            text=True,
        )

    def finish(self, output: str, fingerprint: str = "") -> None:
        process = self.start(output, fingerprint)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def stored_lines(output: Path, at_least: int) -> Callable[[], bool]:
    """So many batches are in a store, the run's own or the shared one."""
    roots = [output, output.parent / f"cache-{output.name}"]

    def reached() -> bool:
        found = [path for root in roots for path in root.rglob("index.jsonl")]
        return any(len(path.read_bytes().splitlines()) >= at_least for path in found)

    return reached


def finished_tasks(output: Path, at_least: int) -> Callable[[], bool]:
    return lambda: len(list(output.glob("tasks/*/result.json"))) >= at_least


@pytest.mark.parametrize("fingerprint", ["", "declared"])
def test_kill_at_several_points(tmp_path: Path, fingerprint: str) -> None:
    bench = Bench(tmp_path)
    bench.finish("whole", fingerprint)
    whole = hashes(tmp_path / "whole")
    assert len(whole) == 5
    output = tmp_path / "cut"
    points = [stored_lines(output, 1), stored_lines(output, 8), stored_lines(output, 20), finished_tasks(output, 2)]
    for reached in points:
        process = bench.start("cut", fingerprint)
        try:
            while not reached() and process.poll() is None:
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert reached()
        assert not (output / "summary.json").exists(), "the run ended before it was killed"
    before = {path: path.stat().st_mtime_ns for path in output.glob("tasks/*/result.json")}
    assert len(before) >= 2
    bench.finish("cut", fingerprint)
    assert hashes(output) == whole
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    assert json.loads((output / "summary.json").read_text())["tasks"]


def test_second_process_on_a_live_run_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = bench.start("run")
    while not (tmp_path / "run" / "run.json").exists():
        assert first.poll() is None
        time.sleep(0.002)
    second = bench.start("run")
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "belongs to a run that is still going on" in errors
    assert first.wait(60) == 0


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    process = bench.start("run")
    while not stored_lines(tmp_path / "run", 2)():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again to resume" in errors
    assert "Traceback" not in errors
