"""Shards: the same bytes every time, what was written comes back, and what is none of ours is refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sets import picture

from datagen.codecs import Codec
from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.shards import (
    Encoded,
    Sample,
    Shard,
    ShardSet,
    ShardWriter,
    check_record,
    distinct_images,
    open_sets,
    record_of,
)
from fuselip.core.types import Group, ImageRef, Input, Operation, Pair

IMAGES = [
    ImageRef.from_pil(picture(number)).then(Operation.of("resize", width=9, height=5 + number)) for number in (1, 2)
]
SIDES = st.builds(lambda text, image: Input(text or "x", image), st.text(max_size=30), st.sampled_from([None, *IMAGES]))
GROUPS = st.builds(
    lambda pairs, number, share: Group(
        "ab" * 32, pairs, "tést/one", 3, {"n": number, "share": share, "on": True}, "key"
    ),
    st.lists(st.builds(Pair, SIDES, SIDES), min_size=1, max_size=4),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
PNG = Codec("png")


def encode(group: Group) -> list[Encoded]:
    return [PNG.encode(ref.load()) for ref in distinct_images(group)]


def write(path: Path, groups: list[Group]) -> bytes:
    stream = io.BytesIO()
    writer = ShardWriter(stream, "png")
    for number, group in enumerate(groups):
        encoded = encode(group)
        writer.add(record_of(f"{number:09d}-000", group, encoded, "s", "o", "c"), [image.data for image in encoded])
    writer.close()
    path.write_bytes(stream.getvalue())
    return stream.getvalue()


@settings(max_examples=30, deadline=None)
@given(groups=st.lists(GROUPS, min_size=1, max_size=4))
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, groups: list[Group]) -> None:
    path = tmp_path_factory.mktemp("shard") / "00000.tar"
    assert write(path, groups) == write(path, groups)
    shard = Shard(path)
    assert len(shard) == len(groups)
    for index in reversed(range(len(groups))):
        _assert_same(groups[index], shard[index])


def _assert_same(group: Group, sample: Sample) -> None:
    again = sample.group()
    assert (again.key, again.recipe, again.version, again.source) == (
        group.key,
        group.recipe,
        group.version,
        group.source,
    )
    assert dict(again.params) == dict(group.params)
    for pair, other in zip(group.pairs, again.pairs, strict=True):
        for left, right in ((pair.left, other.left), (pair.right, other.right)):
            assert left.text == right.text
            assert (left.image is None) == (right.image is None)
            if left.image is not None and right.image is not None:
                assert np.array_equal(np.asarray(left.image.load()), np.asarray(right.image.load()))


def test_headers_name_neither_time_nor_owner(tmp_path: Path) -> None:
    data = write(tmp_path / "a.tar", [_group(), _group()])
    assert len(data) % tarfile.RECORDSIZE == 0
    with tarfile.open(tmp_path / "a.tar") as archive:
        found = archive.getmembers()
    assert [each.name for each in found][:3] == ["000000000-000.json", "000000000-000.00.png", "000000000-000.01.png"]
    assert {(each.mtime, each.uid, each.gid, each.uname, each.gname, each.mode) for each in found} == {
        (0, 0, 0, "", "", 0o644)
    }


def test_an_image_is_stored_once_and_its_identity_is_that_of_the_stored_bytes(tmp_path: Path) -> None:
    group = Group(
        "k", [Pair(Input("a", IMAGES[0]), Input(image=IMAGES[1])), Pair(Input(image=IMAGES[0]), Input("b"))], "r", 1
    )
    write(tmp_path / "a.tar", [group])
    sample = Shard(tmp_path / "a.tar")[0]
    assert len(sample.images) == 2
    again = sample.group()
    assert again.pairs[0].left.image == again.pairs[1].left.image == sample.image(0)
    assert sample.image(0).source == hashlib.sha256(sample.image_bytes(0)).hexdigest()


def test_altered_image_bytes_are_noticed_when_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write(path, [_group()])
    member = Shard(path)[0].images[0]
    data = bytearray(path.read_bytes())
    data[member.offset + member.size // 2] ^= 1
    path.write_bytes(data)
    images._decoded.clear()  # these pixels are remembered by the hash of the bytes they were
    with pytest.raises(UserError, match="changed"):
        Shard(path)[0].image(0).load()


def test_a_set_is_one_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ShardSet, "OPEN", 1)
    folder = tmp_path / "data/r-p1-i2"
    folder.mkdir(parents=True)
    groups = [replace(_group(), key=str(number)) for number in range(5)]
    write(folder / "00000.tar", groups[:2])
    write(folder / "00002.tar", groups[2:])
    with pytest.raises(UserError, match="no finished shard sets"):
        open_sets(tmp_path)
    (folder / "sizes.json").write_text('{"00002.tar": 3, "00000.tar": 2}')
    for found in (open_sets(tmp_path)["r-p1-i2"], ShardSet(sorted(folder.glob("*.tar")))):
        assert [found[index].group().key for index in (4, 0, 2, 1, 3)] == ["4", "0", "2", "1", "3"]
        assert [sample.group().key for sample in found] == list("01234")
        with pytest.raises(IndexError):
            found[5]
    (folder / "sizes.json").write_text('{"../../00000.tar": 2}')
    with pytest.raises(UserError, match="does not list shards"):
        open_sets(tmp_path)


def _group() -> Group:
    return Group("k", [Pair(Input("a", IMAGES[0]), Input(image=IMAGES[1]))], "r", 1, {"x": 0.5})


def _tar(path: Path, members: list[tuple[str, bytes]], change: Callable[[tarfile.TarInfo], None] | None = None) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if change is not None:
                change(info)
            archive.addfile(info, io.BytesIO(data))
    return path


def _link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["../a.json"], "leads out"),
        (["/a.json"], "absolute"),
        (["a/b.json"], "no member of a shard"),
        (["a.pkl"], "no member of a shard"),
        (["a.json", "a.00.exe"], "no member of a shard"),
        (["a.json", "a.01.jpg"], "images by number"),
        (["a.00.jpg", "a.json"], "images by number"),
        (["a.json", "b.json", "a.00.jpg"], "do not stand together"),
        (["a.json", "a.json"], "images by number"),
    ],
)
def test_foreign_members_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Shard(_tar(tmp_path / "a.tar", [(name, b"{}") for name in names]))


def test_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="link"):
        Shard(_tar(tmp_path / "a.tar", [("a.json", b"")], _link))


def test_a_cut_shard_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "a.tar", [_group(), _group()])
    (tmp_path / "b.tar").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="cut short"):
        Shard(tmp_path / "b.tar")


def test_a_record_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.tar", [_group()])
    monkeypatch.setattr("fuselip.core.shards.MAX_RECORD_BYTES", 100)
    with pytest.raises(UserError, match="more than the 100"):
        _ = Shard(tmp_path / "a.tar")[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '"\\ud800', "null"])
def test_json_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"a\.json"):
        _ = Shard(_tar(tmp_path / "a.tar", [("a.json", text.encode())]))[0]


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: Any) -> None:
        *parts, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in parts:
            record = record[part]
        record[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("schema", 2),
        _set("key", "other"),
        _set("group", None),
        _set("version", "1"),
        _set("version", True),
        _set("params", {}),
        _set("params", "[]"),
        _set("params", '{"a": []}'),
        _set("params", "{"),
        _set("images", []),
        _set("images/0/width", 0),
        _set("images/0", 3),
        _set("pairs", []),
        _set("pairs", None),
        _set("pairs/0", "x"),
        _set("pairs/0/left_image", 2),
        _set("pairs/0/left_image", -2),
        _set("pairs/0/left_image", True),
        _set("pairs/0/left_text", 5),
        _set("pairs/0/right_image", -1),
    ],
)
def test_records_that_break_the_schema_are_refused(change: Callable[[dict[str, Any]], None]) -> None:
    group = _group()
    record = json.loads(json.dumps(record_of("k", group, encode(group))))
    check_record(record, "k", 2, "here")
    change(record)
    with pytest.raises(UserError, match=r"^here"):
        check_record(record, "k", 2, "here")
