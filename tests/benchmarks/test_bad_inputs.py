"""Bad input through the real command line: the exit code and the message each gets, and never a traceback."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.pictures import draw


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.cli", *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def refused(done: subprocess.CompletedProcess[str], code: int, says: str) -> None:
    assert done.returncode == code, done.stderr
    assert says in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr


RUN = ("run", "--model", "random")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("run", "--model", "fuselip-bb"), 2, "did you mean 'fuselip-b'"),
        (("run", "--model", "./absent.py:Encoder"), 2, "there is no file ./absent.py"),
        (("run", "--model", "json:loads"), 2, "json:loads needs --model-arg s"),
        ((*RUN, "--suite", "quik"), 2, "did you mean 'quick'"),
        ((*RUN, "--task", "tgit/flop"), 2, "did you mean 'tgit/flip'"),
        ((*RUN, "--source", "folder:absent"), 1, "absent"),
        ((*RUN, "--source", "foldr:pictures"), 2, "did you mean"),
        ((*RUN, "--weights", "cc12m-mm"), 2, "takes no --weights"),
        ((*RUN, "--model-arg", "dmi=3"), 2, "did you mean 'dim'"),
        ((*RUN, "--model-arg", "dim"), 2, "not KEY=VALUE"),
        ((*RUN, "--no-such-flag"), 2, "No such option"),
        ((*RUN, "--limit", "0"), 2, "--limit"),
        ((*RUN, "--format", "pdf"), 2, "--format"),
        (("show", "absent"), 1, "there is no run at absent"),
        (("rescore", "absent"), 1, "holds no results"),
        (("cache", "prune", "--max-size", "much"), 2, "is not a size"),
        (("run", "--model", "fuselip-s", "--weights", "cc13m"), 2, "cc12m-mm"),
        (("run", "--model", "fuselip-s", "--weights", "hf:nobody/nothing", "--offline"), 1, "nobody/nothing"),
    ],
)
def test_usage(arguments: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    draw(tmp_path / "pictures", 1, 32)
    refused(bench(*arguments, cwd=tmp_path), code, says)


def bomb(path: Path) -> None:
    """A PNG of a few bytes that claims 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")))


def cut(path: Path) -> None:
    data = (draw(path.parent / "aside", 1) / "picture0.png").read_bytes()
    path.write_bytes(data[: len(data) // 2])


def disguised(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7 not a picture at all")


@pytest.mark.parametrize(
    ("make", "says"),
    [(bomb, "too large"), (cut, "damaged or cut short"), (disguised, "it looks like a PDF document")],
)
def test_bad_pictures_are_left_out_and_reported(make: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    make(tmp_path / "bad.png")
    good = draw(tmp_path / "pictures", 2)
    (tmp_path / "bad.png").rename(good / "bad.png")
    done = bench(*RUN, "--source", "pictures", "--output", "out", "--task", "tgit/flip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 items skipped" in done.stdout
    (task,) = json.loads((tmp_path / "out" / "summary.json").read_text())["tasks"]
    assert task["clusters"] == 2
    assert says in task["skipped"][0]["reason"]
    for picture in good.glob("picture*"):
        picture.unlink()
    alone = bench(*RUN, "--source", "pictures", "--task", "tgit/flip", cwd=tmp_path)
    assert alone.returncode in (1, 2)
    assert says in " ".join(alone.stderr.split())


def test_folder_of_another_run(tmp_path: Path) -> None:
    draw(tmp_path / "pictures", 1)
    flip = (*RUN, "--source", "pictures", "--output", "out", "--task", "tgit/flip")
    assert bench(*flip, cwd=tmp_path).returncode == 0
    refused(bench(*flip, "--model-arg", "seed=3", cwd=tmp_path), 2, "out holds another run")
    (tmp_path / "out" / "summary.json").write_text("{")
    refused(bench("show", "out", cwd=tmp_path), 1, "not valid JSON")


def test_encoder_of_ones_own_that_fails(tmp_path: Path) -> None:
    draw(tmp_path / "pictures", 1)
    (tmp_path / "mine.py").write_text(
        "class Wrong:\n    def encode(self, inputs):\n        return [[1.0, float('nan')]] * len(inputs)\n"
        "class Short:\n    def encode(self, inputs):\n        return [[1.0, 2.0]]\n"
        "class Broken:\n    def encode(self, inputs):\n        return inputs[0].txet\n"
    )
    for name, says in [("Wrong", "returned nan"), ("Short", "one row per input"), ("Broken", "mine.py:9")]:
        refused(bench("run", "--model", f"./mine.py:{name}", "--source", "pictures", cwd=tmp_path), 1, says)
    checked = bench("check", "--model", "./mine.py:Wrong", cwd=tmp_path)
    assert checked.returncode == 1
    assert "fail" in checked.stdout


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = bench(*RUN, "--source", "folder:absent", "--debug", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
