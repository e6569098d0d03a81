"""Whole files or none, one writer at a time, and messages a person can act on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import atomic, lock, read_json, sha256_file, write_json


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"value": 1})

    def fail() -> None:
        with atomic(path) as stream:
            stream.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert read_json(path) == {"value": 1}
    assert [part.name for part in tmp_path.iterdir()] == ["a.json"]


def test_full_disk_is_said_in_words(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic(tmp_path / "a") as stream:
            stream.write(b"x")
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="no space left on the disk"):
        fail()


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"value": float("nan")})


@pytest.mark.parametrize(("content", "message"), [(None, "missing"), ("{", "not valid JSON"), ("\xff", "JSON")])
def test_unreadable_json_names_the_file(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        read_json(path)


HOLDER = """
import sys, time
from pathlib import Path
from fuselip.core.files import lock
with lock(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_refuses_a_second_process_and_a_killed_holder_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match="somebody runs"), lock(path, "somebody runs"):
        pass
    holder.kill()
    holder.wait()
    with lock(path, "busy"):
        pass


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
