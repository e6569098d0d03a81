"""The command line: one builder a row of the table, exit codes, messages of one sentence, and publishing."""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result
from sets import captions, hashes, source

from datagen.cli import main
from datagen.estimate import estimate
from datagen.listing import LISTINGS
from datagen.plan import Config
from datagen.push import files_to_push, push
from datagen.recipes.registry import BUILDERS
from datagen.sources.registry import open_source
from fuselip.core.errors import UserError

COMMON = ["--source", "--data-root", "--out", "--seed", "--epoch", "--workers", "--engine", "--limit", "--resume"]
COMMON += ["--shard-items", "--virtual", "--dry-run", "--set", "--codec", "--quality", "--max-errors"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    return source(tmp_path_factory.mktemp("source") / "images", 10)


@pytest.fixture(scope="module")
def built(spec: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "set"
    assert run("build-captions", "--source", spec, "--out", out, "--shard-items", 4, "--workers", 1).exit_code == 0
    return out


def test_every_row_is_a_command_with_the_same_options() -> None:
    for name in BUILDERS:
        text = run(f"build-{name}", "--help").output
        assert all(option in text for option in COMMON), name


def test_every_command_explains_itself() -> None:
    for name, command in main.commands.items():
        assert run(name, "--help").exit_code == 0
        assert command.help
        assert all(parameter.help for parameter in command.params if parameter.param_type_name == "option"), name


def test_listings_name_everything() -> None:
    for what in LISTINGS:
        assert run("list", what).output.strip()
    assert "--set per_image=1" in run("list").output


def test_a_whole_life(spec: str, tmp_path: Path) -> None:
    out = tmp_path / "set"
    build = ["build-captions", "--source", spec, "--out", out, "--workers", 1]
    first = run(*build)
    assert (first.exit_code, "10 groups, 10 pairs of 10 source items" in first.output) == (0, True)
    assert re.search(r"this session made 10 items in .* items/s, .* pairs/s", first.output)
    assert "all of it stood already" in run(*build).output
    assert "no problem found" in run("verify", out, "--workers", 1).output
    assert run("review", out, "--html", tmp_path / "r.html").exit_code == 0
    assert "picture number" in (tmp_path / "r.html").read_text()
    assert run("stats", out, "--html", tmp_path / "s.html").exit_code == 0
    assert '"pairs by shard set"' in run("stats", out, "--json").output
    assert run("push", out, "me/set", "--dry-run").output.startswith("8 files, ")


def test_verify_fails_where_something_is_wrong(built: Path, tmp_path: Path, spec: str) -> None:
    captions(spec, tmp_path / "set")
    (tmp_path / "set/stats.json").write_text("{}")
    done = run("verify", tmp_path / "set", "--workers", 1)
    assert done.exit_code == 1
    assert "problem: stats.json" in done.output
    assert "skipped: no item was made again" in done.output  # the API was not told a spec that could be recorded


def test_retry_finds_the_source_by_itself(tmp_path: Path) -> None:
    spec = source(tmp_path / "images", 8)
    path = tmp_path / "images/0005.jpg"
    sound = path.read_bytes()
    path.write_bytes(sound[:-100])
    build = ("--source", spec, "--shard-items", 4, "--workers", 1)
    assert "left out: damaged 1" in run("build-captions", "--out", tmp_path / "set", *build).output
    path.write_bytes(sound)
    assert "8 groups" in run("retry", "damaged", tmp_path / "set", "--workers", 1).output
    run("build-captions", "--out", tmp_path / "fresh", *build)
    assert hashes(tmp_path / "set") == hashes(tmp_path / "fresh")


def test_a_dry_run_writes_nothing(spec: str, tmp_path: Path) -> None:
    done = run("build-captions", "--source", spec, "--out", tmp_path / "set", "--dry-run", "--workers", 1)
    assert done.exit_code == 0
    assert list(tmp_path.iterdir()) == []
    assert "10 source items (0 unusable) in 1 shards" in done.output
    assert "about 10 groups, 10 pairs" in done.output
    assert "measured on 10 items" in done.output


def test_what_a_dry_run_says_is_about_right(tmp_path: Path) -> None:
    spec = source(tmp_path / "images", 60, 320, 240)
    (tmp_path / "images/0007.jpg").write_bytes(b"")
    found = open_source(spec)
    told = estimate(Config.of("captions", found.name, shard_items=30), found, tmp_path / "set")
    summary = captions(spec, tmp_path / "set", 30)
    assert (told.items, told.rejected, told.groups, told.sampled) == (60, 1, 59, 24)
    assert told.bytes == pytest.approx(summary.bytes, rel=0.1)
    assert 0.1 * summary.seconds < told.seconds < 10 * summary.seconds


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--source", "nowhere"], 2, "unknown source"),
        ([], 2, "--source is missing"),
        (["--source", "photos", "--set", "per_imag=2"], 2, "did you mean 'per_image'"),
        (["--source", "photos", "--set", "per_image=two"], 2, "a whole number"),
        (["--source", "photos", "--set", "per_image"], 2, "is not KEY=VALUE"),
        (["--source", "photos", "--codec", "jpg"], 2, "did you mean 'jpeg'"),
        (["--source", "photos", "--quality", "101"], 2, "jpeg takes 1 to 100"),
        (["--source", "photos", "--engine", "spark"], 2, "unknown engine 'spark'"),
        (["--source", "photos:quick", "--workers", "1"], 1, "not one group came of 5 source items (no_caption 5)"),
        (["--source", "photos", "--max-errors", "-1"], 2, "it is a share"),
        (["--source", "photos", "--limit", "0"], 2, "limit"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    done = run("build-captions", "--out", tmp_path / "set", *arguments)
    assert done.exit_code == code
    assert message in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", [["verify"], ["review"], ["stats"], ["retry", "x"], ["push"]])
def test_a_folder_that_is_no_set(command: list[str], tmp_path: Path) -> None:
    done = run(*command, tmp_path, *(["me/x"] if command == ["push"] else []))
    assert done.exit_code == 2
    assert "holds no set" in done.output


def test_push_names_what_it_would_send(built: Path, tmp_path: Path) -> None:
    files = files_to_push(built)
    assert {"README.md", "manifest.json", "data/captions-p1-i1/00002.tar"} <= set(files)
    assert not {"sessions.jsonl", ".lock"} & set(files)
    copy = Path(shutil.copytree(built, tmp_path / "set"))
    (copy / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"README\.md is missing or was changed"):
        files_to_push(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(UserError, match="not complete"):
        files_to_push(copy)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload asks for; `status` other than 200 refuses everything."""

    status = 200
    committed: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        host = f"http://{self.headers['Host']}"
        answer: dict[str, Any] = {
            "url": f"{host}/datasets/me/set",
            "commitUrl": f"{host}/datasets/me/set/commit/{'0' * 40}",
            "commitOid": "0" * 40,
        }
        if "/preupload/" in self.path:
            names = [each["path"] for each in json.loads(body)["files"]]
            answer["files"] = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            files = [line["value"] for line in lines if line["key"] == "file"]
            self.committed.update({each["path"]: base64.b64decode(each["content"]) for each in files})
        self._answer(answer)

    def do_GET(self) -> None:
        self._answer({"sha": "0" * 40, "id": "me/set", "siblings": []})

    def _answer(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine, to which the hub's own client is pointed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(Hub, "status", 200)
    monkeypatch.setattr(Hub, "committed", {})
    yield Hub
    server.shutdown()
    server.server_close()


def test_push_sends_every_file(built: Path, hub: type[Hub]) -> None:
    done = run("push", built, "me/set")
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith("/datasets/me/set")
    assert hub.committed == {name: (built / name).read_bytes() for name in files_to_push(built)}


def test_push_that_is_refused_says_what_to_do(built: Path, hub: type[Hub]) -> None:
    hub.status = 403
    with pytest.raises(UserError, match=r"refused 'me/set' \(status 403\); run `hf auth login`"):
        push(built, "me/set")


def test_push_offline(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        push(built, "me/set")
    with pytest.raises(UserError, match="write OWNER/NAME"):
        push(built, "me/../set")
