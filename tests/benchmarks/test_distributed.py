"""Several processes for one run: the same batches, the same predictions, and nothing encoded twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.distributed import peers
from fuselip.core.errors import UsageError
from tests.benchmarks.pictures import draw

ROOT = Path(__file__).parents[2]
COUNTING = """
import os
from pathlib import Path
from tests.benchmarks.pictures import Thumbnails
from fuselip.core.encoder import EncoderInfo, Limits

class Counting(Thumbnails):
    limits = Limits(images=2, inputs=16)
    info = EncoderInfo("counting", fingerprint="counting-1")

    def encode(self, inputs):
        with open(Path(__file__).parent / f"encoded-{os.environ.get('RANK', '0')}", "a") as stream:
            stream.writelines(f"{item.key}\\n" for item in inputs)
        return super().encode(inputs)
"""


def run(folder: Path, output: str, processes: int) -> subprocess.CompletedProcess[str]:
    command = ["-m", "benchmarks.cli", "run", "--model", "./counting.py:Counting"]
    command += ["--task", "tgit/rotate", "--task", "tgit/crop", "--source", "pictures", "--output", output]
    if processes > 1:
        command = [
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            str(processes),
            "--master-port",
            "29611",
            *command,
        ]
    environment = {**os.environ, "FUSELIP_CACHE": str(folder / f"cache-{output}"), "PYTHONPATH": str(ROOT)}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )


@pytest.mark.slow
def test_two_processes_give_the_predictions_of_one(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    draw(tmp_path / "pictures", 3)
    one = run(tmp_path, "one", 1)
    assert one.returncode == 0, one.stderr
    alone = (tmp_path / "encoded-0").read_text().split()
    (tmp_path / "encoded-0").unlink()
    two = run(tmp_path, "two", 2)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("tgit/rotate") == 1, "only one process speaks"
    for name in ("tgit__rotate", "tgit__crop"):
        files = [tmp_path / output / "tasks" / name / "predictions.parquet" for output in ("one", "two")]
        assert files[0].read_bytes() == files[1].read_bytes()
    shares = [(tmp_path / f"encoded-{rank}").read_text().split() for rank in (0, 1)]
    assert all(len(share) > len(alone) / 4 for share in shares), "both had a share"
    assert sorted(shares[0] + shares[1]) == sorted(alone), "nothing was left out or encoded twice"
    record = json.loads((tmp_path / "two" / "summary.json").read_text())["embedding"]
    assert (record["processes"], record["reused_batches"]) == (2, 0)
    again = run(tmp_path, "two", 2)
    assert again.returncode == 0, again.stderr
    assert "nothing to encode" in again.stderr


def test_an_incomplete_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    peers.cache_clear()
    assert peers() is None
    peers.cache_clear()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match="torchrun"):
        peers()
    peers.cache_clear()
