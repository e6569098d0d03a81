"""`check` finds what a leaderboard would hold against a bundle, computes scores again, says what it cannot do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from lb_bundles import make_bundle, make_metadata, make_run

from benchmarks import predictions
from fuselip.core.files import write_json
from leaderboard.bundle import Manifest, folder_of, write
from leaderboard.check import check
from leaderboard.check_command import command as check_command
from leaderboard.pack_command import command as pack_command


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


def changed(path: Path, out: Path, files: dict[str, bytes], **manifest: object) -> Path:
    """The bundle with other members and another manifest, its hashes made to fit."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    held = msgspec.json.decode(members.pop("bundle.json"), type=Manifest)
    write(out, msgspec.structs.replace(held, **manifest), {**members, **files})
    return out


def test_a_good_bundle_passes_and_its_scores_are_computed(tmp_path: Path, cache: Path) -> None:
    found = check(make_bundle(tmp_path), cache)
    assert found.faults == []
    assert found.bundle is not None
    assert found.scores == {
        name: ("hit@1", pytest.approx(files.claim.value)) for name, files in found.bundle.tasks.items()
    }
    assert any("same predictions" in what for what in found.unchecked)
    assert any("weights are trained" in what for what in found.unchecked)


def test_forged_metrics_are_found(tmp_path: Path, cache: Path) -> None:
    good = make_bundle(tmp_path)
    name = f"{folder_of('tgit/crop')}/result.json"
    first = check(good, cache).bundle
    assert first is not None
    claim = {**msgspec.to_builtins(first.tasks["tgit/crop"].claim), "value": 0.999}
    found = check(changed(good, tmp_path / "forged.zip", {name: msgspec.json.encode(claim)}), cache)
    assert any("0.999" in str(fault) for fault in found.faults)
    assert "tgit/rotate" in found.scores


def test_edited_predictions_are_found(tmp_path: Path, cache: Path) -> None:
    good = make_bundle(tmp_path)
    first = check(good, cache).bundle
    assert first is not None
    file = first.tasks["tgit/crop"].predictions
    name = f"{folder_of('tgit/crop')}/predictions.parquet"
    variants = {**file.variants, "model": file.variants["model"][1:]}
    variants = {
        variant: [row for row in rows if row.query != file.variants["model"][0].query]
        for variant, rows in variants.items()
    }
    predictions.write(tmp_path / "p.parquet", variants, file.header)
    bad = changed(good, tmp_path / "edited.zip", {name: (tmp_path / "p.parquet").read_bytes()})
    assert any("not answered" in fault.what for fault in check(bad, cache).faults)


def test_what_was_not_cut_is_found(tmp_path: Path, cache: Path) -> None:
    good = make_bundle(tmp_path)
    bad = changed(good, tmp_path / "told.zip", {}, provenance={"command": ["run", "/home/ada/x.py"]})
    assert [fault.where for fault in check(bad, cache).faults] == ["bundle.json: provenance.command[1]"]


def test_a_random_encoder_in_disguise_is_found(tmp_path: Path, cache: Path) -> None:
    """Its record was edited, but the header of its predictions still says what it was."""
    good = make_bundle(tmp_path)
    first = check(good, cache).bundle
    assert first is not None
    file = first.tasks["tgit/crop"].predictions
    header = {**file.header, "encoder": "Tuned [random init]"}
    predictions.write(tmp_path / "p.parquet", file.variants, header)
    name = f"{folder_of('tgit/crop')}/predictions.parquet"
    found = check(changed(good, tmp_path / "r.zip", {name: (tmp_path / "p.parquet").read_bytes()}), cache)
    assert any("random initialisation" in fault.what for fault in found.faults)


def test_the_commands(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "run"), tmp_path / "my.zip"
    write_json(tmp_path / "m.json", make_metadata())
    arguments = [str(run), "--metadata", str(tmp_path / "m.json"), "--out", str(out)]
    packed = CliRunner().invoke(pack_command, arguments, catch_exceptions=False)
    assert "2 tasks of core" in packed.output
    assert "leaves this machine" in packed.output
    passed = CliRunner().invoke(check_command, [str(out)], standalone_mode=False, catch_exceptions=False)
    assert passed.return_value == 0
    assert "computed: tgit/crop hit@1" in passed.output
    assert "not checked here" in passed.output
    out.write_bytes(out.read_bytes()[:-9])
    failed = CliRunner().invoke(check_command, [str(out)], standalone_mode=False, catch_exceptions=False)
    assert failed.return_value == 1
    assert "wrong: the file: is not a zip, is cut short" in failed.output
