"""Packing: what may not be submitted is refused, all faults at once; nothing leaves that tells of the machine."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from lb_bundles import DIM, FUSION, make_metadata, make_run

from benchmarks import predictions
from fuselip.core.errors import UserError
from fuselip.core.files import read_json, write_json
from leaderboard import bundle
from leaderboard.bundle import BundleError, Limits
from leaderboard.metadata import is_link, parse
from leaderboard.pack import pack, read_summary
from leaderboard.pack_command import command
from leaderboard.redaction import differences, redact, redacted
from leaderboard.template import template


def about(folder: Path, **changes: Any) -> Path:
    path = folder / "metadata.json"
    path.write_text(json.dumps(make_metadata(**changes)), encoding="utf-8")
    return path


def refused(run: Path, metadata: Path, out: Path) -> str:
    with pytest.raises(BundleError) as caught:
        pack(run, metadata, out)
    assert not out.exists()
    return str(caught.value)


def edit(path: Path, **changes: Any) -> None:
    write_json(path, {**read_json(path), **changes})


def test_a_run_is_packed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    packed = pack(run, about(tmp_path), tmp_path / "my.zip")
    found = bundle.read(tmp_path / "my.zip")
    assert packed.sha256 == found.sha256
    assert packed.tasks == ("tgit/crop", "tgit/rotate")
    assert found.encoder["name"] == "Tuned"
    whole = predictions.read(run / "tasks/tgit__crop/predictions.parquet")
    assert found.tasks["tgit/crop"].predictions.variants["model"] == whole.variants["model"]
    assert found.throughput["inputs"] > 0
    assert found.throughput["machine"]["cpu"]
    again = pack(run, tmp_path / "metadata.json", tmp_path / "again.zip")
    assert again.sha256 == packed.sha256
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "my.zip").read_bytes()


def test_nothing_gives_the_machine_away(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    summary = read_json(run / "summary.json")
    host = socket.gethostname()
    command = [
        "/home/lovelace/.venv/bin/fuselip-bench",
        "run",
        "--model",
        "/Users/lovelace/my.py:E",
        "--token",
        "hf_abcdefghijk",
    ]
    command += [
        "https://lovelace:secret@gpu7.example.org/v1",
        "http://gpu7.internal:80/v1",
        f"--on {host}:80",
        "/home/lovelace",
        "--api-key",
        "S4711Y",
    ]
    summary["provenance"]["command"] = command
    summary["model"]["origin"] = {"password": "P4711Z", "arguments": "path=/mnt/lovelace/w.safetensors, api_key=K4711X"}
    write_json(run / "summary.json", summary)
    result = run / "tasks/tgit__crop/result.json"
    edit(result, notes=["read from /home/lovelace/pictures/x.png"])
    packed = pack(run, about(tmp_path), tmp_path / "my.zip")
    data = (tmp_path / "my.zip").read_bytes()
    for secret in (
        b"lovelace",
        b"hf_abc",
        b"secret@",
        b"gpu7.internal",
        b"K4711X",
        b"S4711Y",
        b"P4711Z",
        b"pictures",
        str(tmp_path).encode(),
    ):
        assert secret not in data, secret
    assert host.encode() not in data or len(host) < 4
    assert b"https://***@gpu7.example.org/v1" in data
    assert {place for place, _ in packed.cut} >= {"provenance.command[0]", "encoder.origin.arguments"}
    assert not any("lovelace" in now for _, now in packed.cut)


def test_all_that_is_wrong_with_a_run_is_told_at_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", limit=2, quantise="int8", weights="random", seed=0)
    (run / "tasks/tgit__crop/result.json").unlink()
    told = refused(run, about(tmp_path, dimension=31, licence=None, link="javascript:alert(1)"), tmp_path / "my.zip")
    for part in ("licence", "link", "--limit", "random initialisation", "tgit/crop: is not finished"):
        assert part in told
    told = refused(run, about(tmp_path, dimension=31, fusion_policy="sum"), tmp_path / "my.zip")
    for part in ("dimension: is 31", "looks the answer up", "quantised as 'int8'"):
        assert part in told


def test_declared_quantisation_and_truncation_are_taken(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", quantise="int8", truncate_dim=16)
    assert "vectors of 16 of 32 numbers" in refused(run, about(tmp_path, quantised="int8"), tmp_path / "my.zip")
    pack(run, about(tmp_path, quantised="int8", dimension=16), tmp_path / "my.zip")
    found = bundle.read(tmp_path / "my.zip")
    assert (found.metadata.quantised, found.metadata.dimension) == ("int8", 16)
    assert found.config["scored as"]["quantise"] == "int8"


def test_unfinished_and_damaged_runs_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "there is no run" in refused(tmp_path / "none", about(tmp_path), tmp_path / "my.zip")
    assert "is missing" in refused(run, tmp_path / "none.json", tmp_path / "my.zip")
    (tmp_path / "list.json").write_text("[]")
    assert "is not a JSON object" in refused(run, tmp_path / "list.json", tmp_path / "my.zip")
    edit(run / "summary.json", config=None)
    assert "lacks config" in refused(run, about(tmp_path), tmp_path / "my.zip")
    (run / "summary.json").unlink()
    assert "not finished" in refused(run, about(tmp_path), tmp_path / "my.zip")


def test_other_questions_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    config = read_json(run / "summary.json")["config"]
    edit(run / "summary.json", config={**config, "source": "folder:x", "seed": 3})
    told = refused(run, about(tmp_path), tmp_path / "my.zip")
    assert "--source" in told
    assert "--seed" in told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 81),
        ("name", " spaced"),
        ("name", "two\nlines"),
        ("name", "turned \u202e round"),
        ("name", "\ud800"),
        ("name", 3),
        ("parameters", 0),
        ("parameters", True),
        ("parameters", 10**20),
        ("parameters", 1.5),
        ("dimension", "32"),
        ("quantised", "int4"),
        ("link", "ftp://example.org"),
        ("link", "https://user:pw@example.org"),
        ("link", "https://"),
        ("link", "https://example.org/<script>"),
        ("link", 'https://example.org/"onload='),
        ("link", "https://example.org:port"),
        ("colour", "red"),
    ],
)
def test_metadata_fields(field: str, value: Any) -> None:
    found, faults = parse({**make_metadata(), field: value})
    assert found is None
    assert [field in f"{fault.where} {fault.what}" for fault in faults] == [True]


def test_metadata_faults_come_all_at_once() -> None:
    _, faults = parse({"name": "", "nam": 1})
    assert len(faults) == 11
    assert any("did you mean 'name'" in fault.what for fault in faults)


@given(st.text())
def test_links_are_web_addresses(text: str) -> None:
    assert not is_link(text) or text.lower().startswith(("http://", "https://"))
    assert is_link("https://example.org/a?b=c#d")


@given(
    st.recursive(st.text() | st.integers() | st.none(), lambda part: st.lists(part) | st.dictionaries(st.text(), part))
)
def test_redaction_twice_is_redaction_once(value: Any) -> None:
    once = redacted(value)
    assert list(differences(once, redacted(once))) == []


@given(st.lists(st.sampled_from(["/", "home", "~", "://", "ada", " ", "C:\\", "\\", "token=", "x.local", ":", "root"])))
def test_redaction_of_paths_twice_is_redaction_once(parts: list[str]) -> None:
    once = redact("".join(parts))
    assert redact(once) == once


def test_a_bundle_that_is_too_large_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "__init__", lambda self: object.__setattr__(self, "bytes", 1000))
    assert "more than the 1000" in refused(make_run(tmp_path / "run"), about(tmp_path), tmp_path / "my.zip")


def test_without_metadata_a_template_says_what_the_run_recorded(tmp_path: Path) -> None:
    run, about, out = make_run(tmp_path / "run"), tmp_path / "mine.json", tmp_path / "mine.zip"
    call = CliRunner()
    told = call.invoke(command, [str(run), "--out", str(out)])
    assert "--metadata FILE is missing" in str(told.exception)
    told = call.invoke(command, [str(run), "--metadata", str(about), "--out", str(out)])
    assert isinstance(told.exception, UserError)
    assert f"{about} was not there. It is written now" in str(told.exception)
    assert 'organisation: such as "Example Lab"' in str(told.exception)
    made = json.loads(about.read_text())
    assert (made["name"], made["dimension"], made["fusion_policy"], made["licence"]) == ("Tuned", DIM, FUSION, "")
    assert not out.exists()
    with pytest.raises(BundleError) as caught:
        pack(run, about, out)
    empty = [name for name, value in made.items() if value in ("", None)]
    assert [fault.what for fault in caught.value.faults] == ["is empty"] * len(empty)
    about.write_text(json.dumps({**make_metadata(), **{name: made[name] for name in made if made[name]}}))
    assert call.invoke(command, [str(run), "--metadata", str(about), "--out", str(out)]).exit_code == 0
    told = call.invoke(command, [str(tmp_path / "none"), "--metadata", str(tmp_path / "x.json"), "--out", str(out)])
    assert isinstance(told.exception, BundleError)
    assert not (tmp_path / "x.json").exists()


def test_the_run_tells_a_dimension_that_the_encoder_does_not(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    edit(run / "summary.json", model={**read_json(run / "summary.json")["model"], "dim": None})
    assert template(read_summary(run))["dimension"] == DIM
    assert f"vectors of {DIM} numbers" in refused(run, about(tmp_path, dimension=31), tmp_path / "my.zip")


def test_a_template_of_a_quantised_run_declares_it(tmp_path: Path) -> None:
    summary = json.loads((make_run(tmp_path / "run", quantise="int8", truncate_dim=16) / "summary.json").read_text())
    made = template(summary)
    assert (made["dimension"], made["quantised"]) == (16, "int8")
