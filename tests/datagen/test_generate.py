"""Building: the same bytes whoever works and however often it is interrupted; nothing bad is fatal or silent."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from sets import REASONS, captions, hashes, picture, source, spoil

from datagen import output, rejects
from datagen.codecs import Codec
from datagen.generate import Budget
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import lock
from fuselip.core.shards import Shard


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    return source(tmp_path_factory.mktemp("source") / "images", 18)


@pytest.fixture(scope="module")
def whole(spec: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hashes of an uninterrupted build by one worker."""
    out = tmp_path_factory.mktemp("whole") / "set"
    captions(spec, out)
    return hashes(out)


def test_what_is_built(spec: str, tmp_path: Path) -> None:
    summary = captions(spec, tmp_path / "set")
    assert summary.counts == {"items": 18, "groups": 18, "pairs": 18, "images": 18}
    assert sorted(path.name for path in (tmp_path / "set/data").iterdir()) == ["captions-p1-i1"]
    tars = sorted((tmp_path / "set/data/captions-p1-i1").glob("*.tar"))
    assert [tar.name for tar in tars] == [f"{number:05d}.tar" for number in range(5)]
    assert [len(Shard(tar)) for tar in tars] == [4, 4, 4, 4, 2]
    pair = Shard(tars[1])[1].group().pairs[0]
    assert (pair.left.modality, pair.right.text) == ("image", "picture number 5")
    sizes = json.loads((tars[0].parent / "sizes.json").read_text())
    assert sizes == {tar.name: len(Shard(tar)) for tar in tars}


def test_two_workers_make_the_same_bytes(spec: str, whole: dict[str, str], tmp_path: Path) -> None:
    captions(spec, tmp_path / "set", workers=2)
    assert hashes(tmp_path / "set") == whole


def test_ray_makes_the_same_bytes(spec: str, whole: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    captions(spec, tmp_path / "set", workers=2, engine="ray")
    assert hashes(tmp_path / "set") == whole


def test_ray_that_is_not_installed_is_named_with_its_extra(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'fuselip\[ray\]'"):
        captions(spec, tmp_path / "set", engine="ray")


def test_a_copy_of_the_source_elsewhere_makes_the_same_bytes(spec: str, whole: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(Path(spec.partition(":")[2]).parent, tmp_path / "moved")
    captions(f"csv:{tmp_path / 'moved' / 'list.csv'}", tmp_path / "set")
    assert hashes(tmp_path / "set") == whole
    for path in (tmp_path / "set").rglob("*"):
        if path.is_file() and path.name != "sessions.jsonl":
            assert str(tmp_path).encode() not in path.read_bytes(), path


def test_seed_and_epoch_are_part_of_the_draw(tmp_path: Path) -> None:
    spec = source(tmp_path / "images", 6)
    table = tmp_path / "images/list.csv"
    rows = [line for number in range(6) for line in (f"{number:04d}.jpg,{word} {number}" for word in "abcdefgh")]
    table.write_text("\n".join(["path,caption", *rows]))
    texts = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        out = tmp_path / f"{seed}-{epoch}"
        captions(spec, out, 6, seed=seed, epoch=epoch)
        shard = Shard(out / "data/captions-p1-i1/00000.tar")
        texts[seed, epoch] = [sample.group().pairs[0].right.text for sample in shard]
    assert len(set(map(tuple, texts.values()))) == 3


def test_bad_items_are_quarantined_with_a_reason(tmp_path: Path) -> None:
    spec = source(tmp_path / "images", 18)
    spoil(tmp_path / "images")
    summary = captions(spec, tmp_path / "set")
    found = {each["item"]: each["reason"] for _, each in rejects.read(tmp_path / "set")}
    assert found == REASONS
    assert summary.rejects == dict.fromkeys(REASONS.values(), 1)
    assert summary.counts["groups"] == 18 - len(REASONS)
    assert summary.errors == len(REASONS) - 2  # a duplicate and a missing caption are no errors
    texts = "".join(each["detail"] for _, each in rejects.read(tmp_path / "set"))
    assert str(tmp_path) not in texts


def test_bad_items_do_not_move_the_others(whole: dict[str, str], tmp_path: Path) -> None:
    spec = source(tmp_path / "images", 18)
    spoil(tmp_path / "images")
    captions(spec, tmp_path / "set")
    found = hashes(tmp_path / "set")
    later = [name for name in whole if name.startswith("data/") and name.endswith(("3.tar", "4.tar"))]
    assert later
    assert all(found[name] == whole[name] for name in later)


def test_retry_takes_mended_items_again(whole: dict[str, str], tmp_path: Path) -> None:
    """Both kinds of reasons: found when the source is listed, and when pixels are decoded. Ends as if never spoilt."""
    spec, out = source(tmp_path / "images", 18), tmp_path / "set"
    sound = tmp_path / "sound"
    shutil.copytree(tmp_path / "images", sound)
    (tmp_path / "images/0001.jpg").write_bytes((sound / "0001.jpg").read_bytes()[:-200])
    (tmp_path / "images/0009.jpg").unlink()
    captions(spec, out)
    before = {shard: os.stat(output.record_file(out, shard)).st_ino for shard in range(5)}
    shutil.copy(sound / "0001.jpg", tmp_path / "images/0001.jpg")
    shutil.copy(sound / "0009.jpg", tmp_path / "images/0009.jpg")
    with pytest.raises(UserError, match="has changed since shard 00002"):
        captions(spec, out, again=rejects.choose(out, "damaged"))
    captions(spec, out, again=rejects.choose(out, "missing"))
    assert hashes(out) == whole
    after = {shard: os.stat(output.record_file(out, shard)).st_ino for shard in range(5)}
    assert [shard for shard in range(5) if before[shard] != after[shard]] == [0, 2]


def test_retry_of_an_unknown_reason_lists_the_known(tmp_path: Path) -> None:
    spec = source(tmp_path / "images", 6)
    (tmp_path / "images/0001.jpg").write_bytes(b"")
    captions(spec, tmp_path / "set")
    with pytest.raises(UsageError, match=r"reasons: empty \(1\)"):
        rejects.choose(tmp_path / "set", "damaged")


def test_a_changed_source_is_noticed_and_can_be_taken_again(tmp_path: Path) -> None:
    spec, out = source(tmp_path / "images", 12), tmp_path / "set"
    captions(spec, out)
    picture(99).save(tmp_path / "images/0005.jpg")
    with pytest.raises(UserError, match=r"changed since shard 00001 .*retry changed"):
        captions(spec, out)
    captions(spec, out, again=rejects.choose(out, "changed"))
    captions(spec, tmp_path / "fresh")
    assert hashes(out) == hashes(tmp_path / "fresh")
    lines = (tmp_path / "images/list.csv").read_text().splitlines()
    (tmp_path / "images/list.csv").write_text("\n".join(lines[:9]))
    with pytest.raises(UserError, match="fewer items"):
        captions(spec, out)


def test_the_error_budget_stops_a_hopeless_run(tmp_path: Path) -> None:
    spec, out = source(tmp_path / "images", 60), tmp_path / "set"
    for number in range(1, 40):
        path = tmp_path / f"images/{number:04d}.jpg"
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"damaged \d+.*more than --max-errors 0.5"):
        captions(spec, out)
    assert 0 < len(output.finished(out)) < 15
    with pytest.raises(UserError, match="--max-errors 30"):
        captions(spec, out, budget=Budget(30))
    captions(spec, out, budget=Budget(50))
    assert len(output.finished(out)) == 15


def test_a_set_without_a_group_is_an_error(tmp_path: Path) -> None:
    source(tmp_path / "images", 3)
    with pytest.raises(UserError, match="no_caption 3"):
        captions(f"folder:{tmp_path / 'images'}", tmp_path / "set")


def test_folders_of_others_are_refused(spec: str, tmp_path: Path) -> None:
    out = tmp_path / "set"
    captions(spec, out)
    with pytest.raises(UsageError, match="seed was 0, is now 1"):
        captions(spec, out, seed=1)
    with pytest.raises(UsageError, match="codec was"):
        captions(spec, out, codec=Codec("jpeg", 90))
    with pytest.raises(UsageError, match="holds a set already"):
        captions(spec, out, resume=False)
    with lock(out / ".lock", "busy"), pytest.raises(UsageError, match="still going on"):
        captions(spec, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        captions(spec, tmp_path / "mine")
    build = json.loads((out / "build.json").read_text())
    build["software"]["pillow"] = "1.0"
    (out / "build.json").write_text(json.dumps(build))
    with pytest.raises(UsageError, match=r'pillow was "1\.0"'):
        captions(spec, out)


@pytest.mark.parametrize("at", [2, 5, 9])
def test_a_full_disk_is_told_and_resumed(
    at: int, spec: str, whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the `at`-th file that is to be made durable."""
    calls, real = [0], os.fsync

    def full(handle: int) -> None:
        calls[0] += 1
        if calls[0] > 2 * at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        captions(spec, tmp_path / "set")
    assert not (tmp_path / "set/manifest.json").exists()
    assert not list((tmp_path / "set").rglob("*.part"))
    monkeypatch.setattr(os, "fsync", real)
    captions(spec, tmp_path / "set")
    assert hashes(tmp_path / "set") == whole
