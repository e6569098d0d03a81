"""Webdataset tars: samples as webdataset groups them, and archives that are damaged or mean harm."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datagen.sources.types import Rejected, SourceItem
from datagen.sources.webdataset import MAX_TARS, WebDataset, expand
from fuselip.core.errors import UserError
from tests.datagen.synthetic import synthetic

Entry = tuple[str, bytes]


def jpeg(number: int) -> bytes:
    stream = io.BytesIO()
    synthetic().resize((64, 48)).rotate(number).save(stream, "JPEG")
    return stream.getvalue()


def write(path: Path, entries: Iterable[Entry | tarfile.TarInfo]) -> Path:
    """As webdataset's TarWriter does: plain files in order, uncompressed."""
    with tarfile.open(path, "w|") as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size, info.mode, info.uname = len(entry[1]), 0o444, "bigdata"
            archive.addfile(info, io.BytesIO(entry[1]))
    return path


def sample(number: int, **more: bytes) -> list[Entry]:
    """jpg, json and txt, as pixparse/cc3m-wds has them."""
    key = f"{number:09d}"
    record = json.dumps({"key": key, "caption": f"picture {number}", "url": "https://example.org"}).encode()
    return [(f"{key}.jpg", jpeg(number)), (f"{key}.json", record), (f"{key}.txt", f"picture {number}".encode())]


def read(*paths: Path) -> tuple[dict[str, SourceItem], dict[str, str]]:
    good, bad = {}, {}
    for path in paths:
        for item in WebDataset(str(path)).items():
            if isinstance(item, SourceItem):
                good[item.key] = item
            else:
                bad[item.item] = item.reason
    return good, bad


def kind(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_samples_as_webdataset_groups_them(tmp_path: Path) -> None:
    path = write(tmp_path / "cc3m-0000.tar", [entry for number in range(4) for entry in sample(number)])
    good, bad = read(path)
    assert bad == {}
    assert list(good) == [f"cc3m-0000.tar/{number:09d}" for number in range(4)]
    for number, item in enumerate(good.values()):
        assert item.captions == (f"picture {number}",)
        assert np.array_equal(np.asarray(item.image.load()), np.asarray(Image.open(io.BytesIO(jpeg(number)))))


def test_captions_in_json(tmp_path: Path) -> None:
    records = [{"caption": "one"}, {"text": " two "}, {"caption": ["a", "b", "a", 3, ""]}, {}, ["x"], {"caption": None}]
    entries = [
        entry
        for number, record in enumerate(records)
        for entry in [(f"{number}.jpg", jpeg(number)), (f"{number}.json", json.dumps(record).encode())]
    ]
    good, bad = read(write(tmp_path / "a.tar", entries))
    assert [item.captions for item in good.values()] == [("one",), ("two",), ("a", "b"), (), (), ()]
    assert bad == {}


@pytest.mark.parametrize(
    "record",
    [b"{", b"\xff\xfe\xfa", b"[" * 100_000, b"9" * 5000, b'{"caption": "\\ud800"}', b'"' + b"x" * (2 << 20) + b'"'],
    ids=["cut", "bytes", "deep", "long number", "half a surrogate pair", "large"],
)
def test_caption_that_cannot_be_read(tmp_path: Path, record: bytes) -> None:
    good, bad = read(write(tmp_path / "a.tar", [*sample(1), ("2.jpg", jpeg(2)), ("2.json", record)]))
    assert list(good) == ["a.tar/000000001"]
    assert "its caption cannot be read" in bad["a.tar/2"]


def test_names_of_several_parts(tmp_path: Path) -> None:
    """The key ends at the first dot of the file's name, whatever dots its folders have."""
    entries = [
        ("./v1.0/a.jpg", jpeg(1)),
        ("./v1.0/a.txt", b"in a folder"),
        ("b.left.jpg", jpeg(2)),
        ("b.caption.txt", b"of another kind"),
        ("b.txt", b"one image, named at length"),
        ("c.0.jpg", jpeg(3)),
        ("c.1.jpg", jpeg(4)),
        ("d.seg.png", jpeg(5)),
        ("d.JPG", jpeg(6)),
        ("d.txt", b"the plain one"),
    ]
    good, bad = read(write(tmp_path / "a.tar", entries))
    assert {key: item.captions for key, item in good.items()} == {
        "a.tar/./v1.0/a": ("in a folder",),
        "a.tar/b": ("one image, named at length",),
        "a.tar/d": ("the plain one",),
    }
    assert np.array_equal(np.asarray(good["a.tar/d"].image.load()), np.asarray(Image.open(io.BytesIO(jpeg(6)))))
    assert set(bad) == {"a.tar/c"}
    assert "several images" in bad["a.tar/c"]


def test_bad_samples_are_named(tmp_path: Path) -> None:
    entries = [
        ("text.txt", b"no image"),
        ("README", b"no extension"),
        *sample(1),
        ("copy.jpg", jpeg(1)),
        ("page.jpg", b"<html>404</html>"),
        ("empty.jpg", b""),
        ("twice.jpg", jpeg(2)),
        ("twice.jpg", jpeg(3)),
        *sample(4),
        ("000000001.png", jpeg(5)),
    ]
    good, bad = read(write(tmp_path / "a.tar", entries))
    assert list(good) == ["a.tar/000000001", "a.tar/twice", "a.tar/000000004"]
    assert "no image among its files (txt)" in bad["a.tar/text"]
    assert "no image" in bad["a.tar/README"]
    assert "identical bytes" in bad["a.tar/copy"]
    assert "an HTML page" in bad["a.tar/page"]
    assert "is empty" in bad["a.tar/empty"]
    assert "of this extension already" in bad["a.tar/twice.jpg"]
    assert "key occurs earlier" in bad["a.tar/000000001"]


def test_members_that_are_not_for_reading(tmp_path: Path) -> None:
    picture = ("../out.jpg", jpeg(9))
    entries = [
        kind("link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        kind("hard.jpg", tarfile.LNKTYPE, "000000001.jpg"),
        kind("zero.jpg", tarfile.CHRTYPE),
        kind("pipe.jpg", tarfile.FIFOTYPE),
        kind("folder", tarfile.DIRTYPE),
        picture,
        ("/abs.jpg", jpeg(10)),
        ("a\\..\\..\\out.jpg", jpeg(11)),
        ("C:\\out.jpg", jpeg(12)),
        *sample(1),
    ]
    good, bad = read(write(tmp_path / "a.tar", entries))
    assert list(good) == ["a.tar/000000001"]
    assert {name.removeprefix("a.tar/"): reason.partition(" (")[0] for name, reason in bad.items()} == {
        "link.jpg": "a link",
        "hard.jpg": "a link",
        "zero.jpg": "no plain file",
        "pipe.jpg": "no plain file",
        "../out.jpg": "its name leads out of the archive by '..'",
        "/abs.jpg": "its name is absolute",
        "a\\..\\..\\out.jpg": "its name leads out of the archive by '..'",
        "C:\\out.jpg": "its name is absolute",
    }


def ends(entries: Iterable[Entry]) -> tuple[list[int], bytes]:
    """Where each member's data ends in the tar, and the tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return [info.offset_data + info.size for info in archive.getmembers()], stream.getvalue()


@pytest.mark.parametrize("place", ["in data", "in a header", "between members", "before the end blocks"])
def test_tar_that_breaks_off(tmp_path: Path, place: str) -> None:
    """What is there is used; that something is lacking is always said."""
    bounds, data = ends([("1.jpg", jpeg(1)), ("2.jpg", jpeg(2)), ("3.jpg", jpeg(3))])
    blocks = [-(-bound // 512) * 512 for bound in bounds]
    cut = {"in data": bounds[2] - 100, "in a header": blocks[1] + 100, "between members": blocks[1]}
    path = tmp_path / "cut.tar"
    path.write_bytes(data[: cut.get(place, blocks[2])])
    good, bad = read(path)
    assert list(good) == ["cut.tar/1", "cut.tar/2", "cut.tar/3"][: 3 if place == "before the end blocks" else 2]
    assert "the tar is damaged or cut short after" in bad["cut.tar/cut.tar"]


def test_damaged_header_in_the_middle(tmp_path: Path) -> None:
    bounds, data = ends([("1.jpg", jpeg(1)), ("2.jpg", jpeg(2))])
    header = -(-bounds[0] // 512) * 512
    path = tmp_path / "a.tar"
    path.write_bytes(data[:header] + b"\xff" * 512 + data[header + 512 :])
    good, bad = read(path)
    assert list(good) == ["a.tar/1"]
    assert "the next header is damaged" in bad["a.tar/a.tar"]


def test_compressed_tar_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(write(tmp_path / "a.tar", sample(1)).read_bytes()))
    with pytest.raises(UserError, match=r"a.tar.gz is compressed \(gzip\).*unpack it to a plain .tar"):
        list(WebDataset("a.tar.gz", tmp_path).items())


def test_what_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("hello")
    with pytest.raises(UserError, match=r"no usable image \(a.tar/a.tar: the tar is damaged"):
        list(WebDataset("a.tar", tmp_path).items())


def test_several_tars_in_order(tmp_path: Path) -> None:
    for number in (11, 2, 9):
        write(tmp_path / f"x-{number:03d}.tar", sample(number))
    write(tmp_path / "y.tar", sample(50))
    for pattern, names in (
        ("x-{002,009,011}.tar", ["x-002", "x-009", "x-011"]),
        ("x-{011,002}.tar", ["x-011", "x-002"]),
        ("x-*.tar", ["x-002", "x-009", "x-011"]),
        ("x-00?.tar", ["x-002", "x-009"]),
        ("{x-00*,y}.tar", ["x-002", "x-009", "y"]),
        ("x-0{02..02}.tar", ["x-002"]),
    ):
        source = WebDataset(pattern, tmp_path)
        assert [path.stem for path in source.tars] == names
        assert [item.key.partition(".")[0] for item in source.items() if not isinstance(item, Rejected)] == names
    with pytest.raises(UserError, match=r"no file matches .*x-003.tar"):
        WebDataset("x-{002..009}.tar", tmp_path)


def test_names_with_the_patterns_own_characters(tmp_path: Path) -> None:
    """In the folder they mean nothing, and a file of exactly that name comes first."""
    root = tmp_path / "{a,b} [1]*"
    root.mkdir()
    write(root / "z[0].tar", sample(1))
    assert expand("z[0].tar", root) == expand("z*.tar", root) == expand("z[[]0].tar", root) == [root / "z[0].tar"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("x-{9..2}.tar", "counts down"),
        (f"x-{{0..{MAX_TARS}}}.tar", "more than 100000 files"),
        ("x-{0..999}-{0..999}.tar", "more than 100000"),
        ("nothing*.tar", "no file matches"),
        ("x-{0..3.tar", "no file matches"),
        ("", "no file matches"),
    ],
)
def test_patterns_that_name_nothing(tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        expand(pattern, tmp_path)


@given(first=st.integers(0, 120), count=st.integers(1, 12), width=st.integers(1, 5))
def test_counted_braces_are_the_shells(
    tmp_path_factory: pytest.TempPathFactory, first: int, count: int, width: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "counted"
    folder.mkdir(exist_ok=True)
    names = [f"s{str(number).zfill(width)}.tar" for number in range(first, first + count)]
    for name in names:
        (folder / name).touch()
    pattern = f"s{{{str(first).zfill(width)}..{str(first + count - 1).zfill(width)}}}.tar"
    found = [path.name for path in expand(pattern, folder)] if len(names[0]) == len(names[-1]) else names
    assert found == names
