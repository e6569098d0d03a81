"""Real fetches through img2dataset from a server on this machine: what goes wrong, tries, resuming, kills."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from fetch_site import serving

from datagen.fetch import run
from datagen.fetch.command import fetch as command
from datagen.fetch.guard import Limits
from datagen.sources.registry import open_source
from datagen.sources.types import SourceItem
from fuselip.core.errors import UsageError, UserError

pytest.importorskip("img2dataset")


@pytest.fixture
def site() -> Iterator[SimpleNamespace]:
    with serving() as found:
        yield found


def write_list(path: Path, links: list[str]) -> Path:
    path.write_text("url\tcaption\n" + "".join(f"{link}\tcaption of {n}\n" for n, link in enumerate(links)), "utf-8")
    return path


def manifest(out: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(out / "manifest.parquet").to_pylist()
    return found


FAST = ("--timeout", "2", "--processes", "1", "--threads", "8", "--shard-rows", "10", "--max-mb", "1")


@pytest.mark.slow
def test_a_fetch_with_all_that_goes_wrong(site: SimpleNamespace, tmp_path: Path) -> None:
    """Failed rows alone are tried again, every row is accounted for, and the tars are a source."""
    good = [f"good/{number}" for number in range(12)]
    kinds = [*good, "flaky/20", "missing", "slow", "corrupt", "page", "huge", "cut", "private", "file", "drip"]
    links = [f"{site.url}/{kind}" for kind in kinds] + ["file:///etc/hostname"]
    out = tmp_path / "out"
    arguments = [write_list(tmp_path / "list.tsv", links), "--out", out, "--allow-private", "--json", *FAST]
    result = CliRunner().invoke(
        command, [*map(str, arguments), "--retries", "1"], catch_exceptions=False, standalone_mode=False
    )
    rows = dict(zip([*kinds, "file:"], manifest(out), strict=True))
    status = {kind: row["status"] for kind, row in rows.items()}
    assert all(status[kind] == "success" for kind in (*good, "flaky/20", "private")), status
    wanted = {
        "missing": "http-404",
        "slow": "timeout",
        "drip": "timeout",
        "corrupt": "not-an-image",
        "page": "not-an-image",
    }
    wanted |= {"huge": "too-large", "cut": "connection", "file": "refused", "file:": "refused"}
    assert {kind: status[kind] for kind in wanted} == wanted
    assert [rows[kind]["attempts"] for kind in ("good/0", "flaky/20", "missing", "slow", "file:")] == [1, 2, 1, 2, 0]
    assert json.loads(result.stdout)["status"]["success"] == 14
    assert site.seen["/good/0"] == 1
    assert site.seen["/slow"] == 2
    items = {item.key: item for item in open_source(f"wds:{out}/shards/*.tar").items() if isinstance(item, SourceItem)}
    assert len(items) == 14
    first = rows["good/0"]
    item = items[f"{first['shard']}/{first['key']}"]
    assert item.captions == ("caption of 0",)
    assert item.image.source == first["sha256"]


@pytest.mark.slow
def test_without_the_flag_nothing_of_this_machine_is_fetched(site: SimpleNamespace, tmp_path: Path) -> None:
    """Literal addresses are refused at once, names that mean this machine when img2dataset's workers connect."""
    port = site.url.rpartition(":")[2]
    links = [f"{site.url}/good/1", f"http://2130706433:{port}/good/2", f"http://127.1:{port}/good/3"]
    arguments = [str(write_list(tmp_path / "list.tsv", links)), "--out", str(tmp_path / "out"), *FAST]
    result = CliRunner().invoke(
        command, [*arguments, "--min-success", "0"], catch_exceptions=False, standalone_mode=False
    )
    assert "0 of 3 rows fetched" in result.output
    assert [row["status"] for row in manifest(tmp_path / "out")] == ["refused"] * 3
    assert site.seen == {}


@pytest.mark.slow
def test_it_stops_below_the_share_and_goes_on_later(site: SimpleNamespace, tmp_path: Path) -> None:
    listed = write_list(
        tmp_path / "list.tsv", [f"{site.url}/{kind}" for kind in ("missing", "missing/1", "good/1", "page")]
    )
    arguments = [str(listed), "--out", str(tmp_path / "out"), "--allow-private", *FAST]
    with pytest.raises(UserError, match=r"only 1 of 4 rows .*http-404 2.*--min-success 0.5"):
        CliRunner().invoke(command, [*arguments, "--min-success", "0.5"], catch_exceptions=False, standalone_mode=False)
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    assert "1 of 4 rows fetched" in result.output
    assert site.seen["/good/1"] == 1, "what was fetched is not fetched again"
    with pytest.raises(UsageError, match="image_size differs"):
        CliRunner().invoke(command, [*arguments, "--image-size", "99"], catch_exceptions=False, standalone_mode=False)


@pytest.mark.slow
def test_a_shard_that_was_left_unfinished_is_fetched_again(site: SimpleNamespace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    listed = write_list(tmp_path / "list.tsv", [f"{site.url}/good/{number}" for number in range(15)])
    run.fetch(listed, out, run.Options(shard_rows=10, processes=1), Limits(allow_private=True))
    whole = [(row["url"], row["sha256"]) for row in manifest(out)]
    for name in ("shards/00001_stats.json", "rows/00001.parquet", "manifest.parquet"):
        (out / name).unlink()
    (out / "shards/00001.tar").write_bytes((out / "shards/00001.tar").read_bytes()[:3000])
    state = run.fetch(listed, out, run.Options(shard_rows=10, processes=1), Limits(allow_private=True))
    assert state.counts() == {"success": 15}
    assert [(row["url"], row["sha256"]) for row in manifest(out)] == whole
    assert site.seen["/good/0"] == 1
    assert site.seen["/good/14"] == 2


@pytest.mark.slow
def test_a_killed_fetch_leaves_no_process_behind(site: SimpleNamespace, tmp_path: Path) -> None:
    listed = write_list(tmp_path / "list.tsv", [f"{site.url}/slow"] * 3)
    arguments = [listed, "--out", tmp_path / "out", "--allow-private", "--timeout", 60, "--processes", 1]
    code = "import sys; from datagen.fetch.command import fetch; fetch(sys.argv[1:])"
    running = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    if not children.exists():
        running.kill()
        pytest.skip("this system does not tell a process's children")
    until = time.monotonic() + 60
    while not site.seen and time.monotonic() < until:
        time.sleep(0.1)
    group = int(children.read_text().split()[0])
    running.kill()
    running.wait()
    while _alive(group) and time.monotonic() < until:
        time.sleep(0.1)
    assert site.seen
    assert not _alive(group)


def _alive(group: int) -> bool:
    """Whether the process group has a member that is not just waiting to be reaped."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, found = stat.read_text().rpartition(")")[2].split()[:3]
            if int(found) == group and state != "Z":
                return True
    return False
