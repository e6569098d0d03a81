"""Fetching over a real local server: resumed where it was cut off, checked, recorded, unpacked, never replaced."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import fetch_command
from benchmarks.download import download
from benchmarks.fetch import Options, Outcome, fetch
from benchmarks.fetched import NAME, Record
from benchmarks.tasks import TASKS
from benchmarks.types import DataFile, TaskSpec
from benchmarks.unpack import tree_hash
from datagen.fetch.guard import Limits
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import lock
from fuselip.core.http import Backoff
from tests.benchmarks.archives import tarred, zipped
from tests.benchmarks.web import Web, serving

BODY = random.Random(0).randbytes(300_000)
LIMITS = Limits(allow_private=True, max_bytes=1 << 20)
OPTIONS = Options(LIMITS)
ONCE = Backoff(attempts=1)
QUICK = Backoff(base=0.001)


def quiet(done: int, total: int | None) -> None:
    return


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def spec(*files: DataFile) -> TaskSpec:
    return replace(TASKS["cirr/val"], files=files)


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web({"/file.json": BODY})) as server:
        yield server


def test_a_cut_download_goes_on_from_where_it_was(web: Web, tmp_path: Path) -> None:
    url, path = f"{web.base}/file.json", tmp_path / "file.json"
    web.cut = 100_000
    with pytest.raises(UserError, match=r"broke off after 100000 of 300000 bytes.*goes on from 100000"):
        download(url, path, LIMITS, quiet, backoff=ONCE)
    assert not path.exists()
    assert (tmp_path / "file.json.part").read_bytes() == BODY[:100_000]
    web.cut = None
    got = download(url, path, LIMITS, quiet)
    assert path.read_bytes() == BODY
    assert (got.sha256, got.bytes) == (sha(BODY), len(BODY))
    assert [asked for _, asked in web.asked] == ["", "bytes=100000-"]
    assert [each.name for each in tmp_path.iterdir()] == ["file.json"]


def test_passing_failures_are_tried_again_by_itself(web: Web, tmp_path: Path) -> None:
    web.cut = 130_000
    download(f"{web.base}/file.json", tmp_path / "file.json", LIMITS, quiet, backoff=QUICK)
    assert (tmp_path / "file.json").read_bytes() == BODY
    assert [asked for _, asked in web.asked] == ["", "bytes=130000-", "bytes=260000-"]


@pytest.mark.parametrize("how", ["another version", "no ranges", "longer than it is", "another address"])
def test_a_beginning_that_is_no_use_is_thrown_away(web: Web, tmp_path: Path, how: str) -> None:
    url, path = f"{web.base}/file.json", tmp_path / "file.json"
    web.cut = 100_000
    with pytest.raises(UserError, match="broke off"):
        download(url, path, LIMITS, quiet, backoff=ONCE)
    web.cut, body = None, BODY
    if how == "another version":
        body = web.files["/file.json"] = BODY[::-1]
    elif how == "no ranges":
        web.ranges = False
    elif how == "longer than it is":
        (tmp_path / "file.json.part").write_bytes(b"x" * 400_000)
    else:
        body = web.files["/other.json"] = BODY[::-1]
        url = f"{web.base}/other.json"
    download(url, path, LIMITS, quiet, backoff=QUICK)
    assert path.read_bytes() == body


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_killed_half_way_and_given_again(web: Web, tmp_path: Path, stop: signal.Signals) -> None:
    """The real command in a process of its own. SIGINT leaves by exit code 130."""
    web.slow = 0.03
    code = (
        "import sys; from dataclasses import replace\n"
        "from benchmarks import tasks; from benchmarks.types import DataFile\n"
        "from benchmarks.fetch_command import fetch; from fuselip.core.console import Group\n"
        "name = 'cirr/val'\n"
        "tasks.TASKS[name] = replace(tasks.TASKS[name], files=(DataFile('set/file.json', sys.argv[1]),))\n"
        "Group(commands={'fetch': fetch}).main(['fetch', name, '--data', sys.argv[2], '--allow-private'])"
    )
    command = [sys.executable, "-c", code, f"{web.base}/file.json", str(tmp_path)]
    part = tmp_path / "set/file.json.part"
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while (not part.exists() or part.stat().st_size == 0) and time.monotonic() < until:
        time.sleep(0.01)
    first.send_signal(stop)
    _, said = first.communicate(timeout=30)
    assert first.returncode == (130 if stop == signal.SIGINT else -stop), said
    assert "Traceback" not in said
    held = part.stat().st_size
    assert 0 < held < len(BODY)
    web.slow = 0.0
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "set/file.json").read_bytes() == BODY
    assert web.asked[-1] == ("/file.json", f"bytes={held}-")
    assert Record(tmp_path).entries["set/file.json"].sha256 == sha(BODY)


def test_limits_and_addresses(web: Web, tmp_path: Path) -> None:
    url, path = f"{web.base}/file.json", tmp_path / "file.json"
    for limits, address, says in (
        (replace(LIMITS, max_bytes=1000), url, "over 1000 bytes, more than --max-size"),
        (Limits(), url, "127.0.0.1 is not a public address"),
        (LIMITS, "file:///etc/passwd", "only http and https"),
        (LIMITS, "ftp://example.org/x", "only http and https"),
        (LIMITS, f"{web.base}/absent", "http_404.*check the address"),
    ):
        with pytest.raises(UserError, match=says):
            download(address, path, limits, quiet, backoff=ONCE)
    assert not path.exists()


def test_too_little_space_is_said_at_once(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="needs 300000 bytes more, and the disk has 1000 left"):
        download(f"{web.base}/file.json", tmp_path / "file.json", LIMITS, quiet, backoff=ONCE)


def test_without_a_version_nothing_is_resumed(tmp_path: Path) -> None:
    """What the bytes there are belong to cannot be known."""
    with serving(Web({"/file.json": BODY}, cut=100_000, tags=False)) as web:
        with pytest.raises(UserError, match="goes on from 0 bytes"):
            download(f"{web.base}/file.json", tmp_path / "x", LIMITS, quiet, backoff=ONCE)
        web.cut = None
        download(f"{web.base}/file.json", tmp_path / "x", LIMITS, quiet)
    assert (tmp_path / "x").read_bytes() == BODY
    assert [asked for _, asked in web.asked] == ["", ""]


def test_redirects_are_followed_but_not_for_ever(web: Web, tmp_path: Path) -> None:
    web.redirects = {"/moved": "/file.json", "/round": "/round", "/local": "file:///etc/passwd"}
    download(f"{web.base}/moved", tmp_path / "got", LIMITS, quiet)
    assert (tmp_path / "got").read_bytes() == BODY
    for name in ("round", "local"):
        with pytest.raises(UserError, match="http_302"):
            download(f"{web.base}/{name}", tmp_path / name, LIMITS, quiet, backoff=ONCE)
    assert len(web.asked) < 20


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not be fetched \(connection"):
        download("http://127.0.0.1:9/x", tmp_path / "x", LIMITS, quiet, backoff=ONCE)


def test_fetched_once_then_checked(web: Web, tmp_path: Path) -> None:
    """Recorded; not asked for again; a changed file is an error, and so is a changed publisher."""
    task = spec(DataFile("set/file.json", f"{web.base}/file.json"), DataFile("set/images", how="fill in the form"))
    assert fetch([task], tmp_path, OPTIONS) == [
        Outcome("set/file.json", "fetched", f"{web.base}/file.json"),
        Outcome("set/images", "by hand", "fill in the form"),
    ]
    entry = json.loads((tmp_path / NAME).read_text())["set/file.json"]
    assert (entry["url"], entry["sha256"], entry["bytes"]) == (f"{web.base}/file.json", sha(BODY), len(BODY))
    assert entry["etag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert entry["when"].startswith("20")
    assert states(fetch([task], tmp_path, OPTIONS)) == ["intact", "by hand"]
    assert len(web.asked) == 1
    place = tmp_path / "set/file.json"
    place.write_bytes(b"x" + BODY[1:])
    [outcome, _] = fetch([task], tmp_path, OPTIONS)
    assert outcome.state == "failed"
    assert "its sha256 is another; delete it and fetch it again" in outcome.note
    assert states(fetch([task], tmp_path, replace(OPTIONS, quick=True))) == ["intact", "by hand"]
    place.unlink()
    web.files["/file.json"] = BODY[::-1]
    [outcome, _] = fetch([task], tmp_path, OPTIONS)
    assert outcome.state == "failed"
    assert "no longer the file that was fetched before" in outcome.note
    assert not place.exists()


def test_files_that_a_person_put_there_stay(web: Web, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.json").write_text("mine")
    task = spec(DataFile("set/file.json", f"{web.base}/file.json"))
    assert states(fetch([task], tmp_path, OPTIONS)) == ["there"]
    assert not web.asked
    assert (tmp_path / "set/file.json").read_text() == "mine"


def test_offline_fetches_nothing(web: Web, tmp_path: Path) -> None:
    task = spec(DataFile("set/file.json", f"{web.base}/file.json"))
    [outcome] = fetch([task], tmp_path, replace(OPTIONS, offline=True))
    assert (outcome.state, web.asked) == ("failed", [])


def test_one_failure_does_not_stop_the_others(web: Web, tmp_path: Path) -> None:
    task = spec(
        DataFile("a", f"{web.base}/absent"), DataFile("b", f"{web.base}/file.json"), DataFile("../c", f"{web.base}/c")
    )
    assert states(fetch([task], tmp_path, OPTIONS)) == ["failed", "fetched", "failed"]


def test_one_at_a_time(tmp_path: Path) -> None:
    with lock(tmp_path / ".fetch.lock", "busy"), pytest.raises(UsageError, match="another `fetch` works"):
        fetch([spec()], tmp_path, OPTIONS)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_are_fetched_once_and_unpacked(web: Web, tmp_path: Path, kind: str) -> None:
    members = {"top/images/1.jpg": b"one", "top/images/sub/2.jpg": b"two", "top/info.json": b"{}", "other": b"no"}
    made = {"zip": zipped(members), "tar": tarred(members), "tar.gz": gzip.compress(tarred(members))}[kind]
    url = f"{web.base}/all.{kind}?download=1"
    web.files[f"/all.{kind}?download=1"] = made
    task = spec(
        DataFile("coco/images", url, member="top/images"),
        DataFile("coco/info.json", url, member="top/info.json"),
        DataFile(f"coco/whole.{kind}", url),
        DataFile("coco/all", url),
        DataFile("coco/absent", url, member="nowhere"),
    )
    outcomes = fetch([task], tmp_path, OPTIONS)
    assert states(outcomes) == ["fetched"] * 4 + ["failed"]
    assert "does not hold 'nowhere'" in outcomes[-1].note
    assert len(web.asked) == 2  # the archive that is kept as it is, and the one that is unpacked
    found = {str(path.relative_to(tmp_path / "coco")) for path in (tmp_path / "coco").rglob("*") if path.is_file()}
    assert found == {"images/1.jpg", "images/sub/2.jpg", "info.json", f"whole.{kind}", *(f"all/{m}" for m in members)}
    entries = Record(tmp_path).entries
    assert entries["coco/info.json"].sha256 == sha(b"{}")
    assert entries["coco/images"].sha256 == tree_hash({"1.jpg": sha(b"one"), "sub/2.jpg": sha(b"two")})
    assert {entry.download_sha256 for entry in entries.values()} == {sha(made)}
    assert states(fetch([spec(*task.files[:4])], tmp_path, OPTIONS)) == ["intact"] * 4
    (tmp_path / "coco/images/1.jpg").write_bytes(b"ONE")
    assert "its sha256 is another" in fetch([spec(task.files[0])], tmp_path, OPTIONS)[0].note
    (tmp_path / "coco/images/1.jpg").unlink()
    assert "holds 1 files, not the 2" in fetch([spec(task.files[0])], tmp_path, OPTIONS)[0].note


def test_hub_addresses(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A malformed one is named; a right one goes through the hub's client, which is offline here."""
    for url, says in (
        ("hf:name@main/file", "hf:OWNER/NAME@REVISION/PATH"),
        ("hf:a/b@main/../x", "hf:OWNER/NAME@REVISION/PATH"),
        ("hf:a/b@main/x.json", "could not be fetched"),
    ):
        [outcome] = fetch([spec(DataFile("set/x.json", url))], tmp_path, OPTIONS)
        assert outcome.state == "failed"
        assert says in outcome.note


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', '{"a": {"url": "x"}}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(UserError, match=r"fetched\.json"):
        fetch([spec()], tmp_path, OPTIONS)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(fetch_command.fetch, arguments, standalone_mode=False)


def test_command_says_what_became_of_each_file(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (DataFile("set/file.json", f"{web.base}/file.json"), DataFile("set/images", how="fill in the form"))
    monkeypatch.setitem(TASKS, "cirr/val", spec(*files))
    arguments = ("cirr/val", "--data", str(tmp_path), "--allow-private")
    done = run(*arguments)
    assert done.return_value == 0
    assert "fetched  set/file.json" in done.output
    assert "set/images: fill in the form" in done.output
    assert [row["state"] for row in json.loads(run(*arguments, "--json").stdout)] == ["intact", "by hand"]
    os.truncate(tmp_path / "set/file.json", 5)
    done = run(*arguments)
    assert done.return_value == 1
    assert "has 5 bytes, not the 300000 fetched" in done.output


def test_command_refuses_wrong_usage(tmp_path: Path) -> None:
    for arguments, says in (
        (("nonsense",), "no task 'nonsense'"),
        (("cirr/val", "--max-size", "x"), "'x' is not a size"),
        (("cirr/val", "--max-size", "-1G"), "'-1G' is not a size"),
    ):
        done = run(*arguments, "--data", str(tmp_path))
        assert isinstance(done.exception, UsageError)
        assert says in str(done.exception)
