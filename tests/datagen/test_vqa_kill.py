"""build-vqa killed and run again: no row is lost, none is asked again but those in flight, the output is the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sets import picture
from vqa_server import Server, caption, serving

COUNT, THREADS = 60, 4
CODE = (
    "import sys; from datagen.cli import BUILD_OPTIONS, _build, main; from datagen.vqa.command import command; "
    "main.add_command(command(BUILD_OPTIONS, _build)); sys.exit(main())"
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("images")
    rows = ["path,caption"]
    for number in range(COUNT):
        picture(number).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{caption(number)}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return f"csv:{folder / 'list.csv'}"


def start(spec: str, out: Path, server: Server, *more: str) -> subprocess.Popen[str]:
    options = ["--source", spec, "--out", str(out), "--backend", "openai", "--base-url", server.base, "--model", "m"]
    options += ["--concurrency", str(THREADS), "--questions-only", *more]
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "build-vqa", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def outputs(out: Path) -> dict[str, bytes]:
    folder = out.parent / f"{out.name}-questions"
    return {name: (folder / name).read_bytes() for name in ("questions.csv", "questions.jsonl", "rejects.jsonl")}


def lines(out: Path) -> int:
    journal = out.parent / f"{out.name}-questions" / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while lines(out) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture(scope="module")
def undisturbed(spec: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "set"
    with serving() as server:
        process = start(spec, out, server)
        assert process.wait(60) == 0
    assert outputs(out)["questions.csv"].count(b"\n") == COUNT + 1
    return outputs(out)


def test_killed_at_several_points(spec: str, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    out = tmp_path / "set"
    kills = (1, 17, 40)
    with serving(seconds=0.03) as server:
        for count in kills:
            process = start(spec, out, server)
            wait_for(out, count, process)
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        kept = lines(out)
        process = start(spec, out, server)
        said, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert f"{COUNT} questions of {COUNT} rows" in said
        assert f"this session asked {COUNT - kept} in" in said
        assert set(server.asked) == {caption(number) for number in range(COUNT)}
        assert server.asked.total() <= COUNT + len(kills) * THREADS
    assert outputs(out) == undisturbed


def test_torn_line_of_a_kill(spec: str, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    out = tmp_path / "set"
    with serving() as server:
        assert start(spec, out, server).wait(60) == 0
        journal = tmp_path / "set-questions/journal.jsonl"
        data = journal.read_bytes()
        journal.write_bytes(data[: len(data) // 2])
        assert start(spec, out, server).wait(60) == 0
        again = [times for times in server.asked.values() if times == 2]
        assert server.asked.total() == COUNT + len(again)
        assert COUNT // 2 - 1 <= len(again) <= COUNT // 2 + 1
    assert outputs(out) == undisturbed


def test_interrupted_by_hand(spec: str, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    out = tmp_path / "set"
    with serving(lambda asked, times: "hang" if asked.endswith("9") else "ok", seconds=0.02) as server:
        process = start(spec, out, server)
        wait_for(out, 20, process)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "what was finished is kept" in errors
        assert "Traceback" not in errors
        assert time.monotonic() - began < 5
        server.plan = lambda asked, times: "ok"
        assert start(spec, out, server).wait(60) == 0
        assert server.asked.total() <= COUNT + THREADS
    assert outputs(out) == undisturbed


def test_a_folder_in_use_is_refused(spec: str, tmp_path: Path) -> None:
    with serving(lambda asked, times: "hang") as server:
        first = start(spec, tmp_path / "set", server)
        try:
            until = time.monotonic() + 60
            while not server.asked:
                assert time.monotonic() < until
                time.sleep(0.01)
            second = start(spec, tmp_path / "set", server)
            assert "is being written by another run" in second.communicate(timeout=60)[1]
            assert second.returncode == 2
        finally:
            os.kill(first.pid, signal.SIGKILL)
            first.wait(60)
