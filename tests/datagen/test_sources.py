"""Folders, CSV files, photos and specs as sources of images; bad items are named, and do no harm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datagen.sources.folder import Folder
from datagen.sources.inside import inside
from datagen.sources.quarantine import quarantine
from datagen.sources.registry import open_source
from datagen.sources.table import Table
from datagen.sources.types import Rejected, Source, SourceItem
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef
from tests.datagen.synthetic import synthetic


def picture(path: Path, angle: int = 0) -> Path:
    """A picture that differs by `angle`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    synthetic().resize((64, 48)).rotate(angle).save(path)
    return path


def good(source: Source) -> list[SourceItem]:
    return [item for item in source.items() if isinstance(item, SourceItem)]


def bad(source: Source) -> dict[str, str]:
    return {item.item: item.reason for item in source.items() if isinstance(item, Rejected)}


def test_folder_in_order_with_what_is_bad_named(tmp_path: Path) -> None:
    for number, name in enumerate(["b.png", "a/2.JPG", "a/10.jpeg", "c.tif", ".hidden.png", ".git/d.png"]):
        picture(tmp_path / name, number)
    shutil.copy(tmp_path / "b.png", tmp_path / "same.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0")
    (tmp_path / "notes.txt").write_text("not an image, not meant as one")
    os.symlink(tmp_path, tmp_path / "a" / "circle.png")
    os.symlink("nowhere", tmp_path / "dangling.png")
    source = Folder(tmp_path)
    items = good(source)
    assert [item.key for item in items] == ["a/10.jpeg", "a/2.JPG", "b.png", "c.tif"]
    assert [item.origin for item in items] == [item.key for item in items]
    reasons = bad(source)
    assert set(reasons) == {"same.png", "empty.jpg", "page.jpg", "phone.heic", "a/circle.png", "dangling.png"}
    assert "identical bytes" in reasons["same.png"]
    assert "is empty" in reasons["empty.jpg"]
    assert "an HTML page" in reasons["page.jpg"]
    assert "HEIC" in reasons["phone.heic"]
    assert "is a folder" in reasons["a/circle.png"]
    assert list(source.items()) == list(Folder(tmp_path).items())


def test_folder_elsewhere_is_the_same_source(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "one" / f"{number}.png", number)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert good(Folder(tmp_path / "one")) == good(Folder(tmp_path / "two"))


def test_name_that_is_no_utf_8_can_be_reported(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    try:
        picture(tmp_path / os.fsdecode(b"caf\xe9.png"), 10)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert [item.key for item in good(Folder(tmp_path))] == ["a.png"]
    ((name, reason),) = bad(Folder(tmp_path)).items()
    assert "not UTF-8" in reason
    assert (name + reason).encode()


def test_subfolder_that_cannot_be_listed(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "closed").mkdir(0)
    if os.access(tmp_path / "closed", os.R_OK):
        pytest.skip("root may read everything")
    assert "cannot be listed" in bad(Folder(tmp_path))["closed"]
    assert [item.key for item in good(Folder(tmp_path))] == ["a.png"]


def test_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no usable image \(it holds no image files\)"):
        list(Folder(tmp_path).items())
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_text("%PDF-1.7")
    with pytest.raises(UserError, match=r"has no usable image \(1.jpg: .*a PDF document"):
        list(Folder(tmp_path).items())
    with pytest.raises(UserError, match="does not exist"):
        Folder(tmp_path / "missing")
    with pytest.raises(UserError, match="is no folder"):
        Folder(tmp_path / "1.jpg")


def table(tmp_path: Path, text: str | bytes, root: Path | None = None) -> Table:
    path = tmp_path / "set.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Table(path, root)


def test_table_groups_captions_of_one_image(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    source = table(
        tmp_path,
        '﻿id, caption ,path\n1,a dog,0.png\n2,a dog,0.png\n3,"a hound, or\ntwo",0.png\n\n4,,1.png\n5,ein Hünd,./2.png\n',
    )
    assert [(item.key, item.captions) for item in good(source)] == [
        ("0.png", ("a dog", "a hound, or\ntwo")),
        ("1.png", ()),
        ("2.png", ("ein Hünd",)),
    ]
    assert bad(source) == {}


def test_table_rows_that_lead_out_or_are_bad(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number, name in enumerate(["in.png", "sub/in.png", "abs.png"]):
        picture(root / name, number)
    picture(tmp_path / "secret.png", 40)
    os.symlink(tmp_path / "secret.png", root / "link.png")
    os.symlink(tmp_path, root / "up")
    os.symlink("in.png", root / "inner.png")
    os.symlink("loop.png", root / "loop.png")
    leaving = ["../secret.png", "sub/../../secret.png", str(tmp_path / "secret.png"), "link.png", "up/secret.png"]
    others = ["sub\\..\\..\\secret.png", "https://example.org/a.png", "missing.png", "sub", "loop.png", "x" * 5000, ""]
    rows = "".join(f'"{name}",words\n' for name in ["in.png", *leaving, *others, "sub/in.png", root / "abs.png"])
    source = table(root, f"path,caption\n{rows}inner.png,again\nno-caption\nin.png,later\n")
    assert [item.key for item in good(source)] == ["in.png", "sub/in.png", "abs.png"]
    reasons = bad(source)
    for name in leaving:
        assert "leads out of" in reasons[name], name
    assert "web address" in reasons["https://example.org/a.png"]
    assert "does not exist" in reasons["missing.png"]
    assert "is a folder" in reasons["sub"]
    assert "identical bytes" in reasons["inner.png"]
    assert "key occurs earlier" in reasons["in.png"]
    assert "fewer fields" in reasons["set.csv, line 18"]
    assert set(reasons) - set(leaving) - set(others) == {
        "inner.png",
        "in.png",
        "set.csv, line 18",
        "(a row without a path)",
    }


def test_table_with_a_relative_root_and_absolute_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture(tmp_path / "data" / "sub" / "a.png")
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "data", f"path,caption\n{path},a dog\n")
    assert [item.key for item in good(open_source("csv:data/set.csv"))] == ["sub/a.png"]
    assert [item.key for item in good(open_source("csv:set.csv", "data"))] == ["sub/a.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,caption\na.png,x\n", r"no column 'path' \(its header row is 'file,caption'\)"),
        ("path,captions\na.png,x\n", "no column 'caption' .*; did you mean 'captions'"),
        ("path\tcaption\na.png\tx\n", "separated by tabs, use commas"),
        ("", "no column 'path'"),
        ("path,caption\n", "it holds no image files"),
        ("path,caption\n\xe4.png,x\n".encode("latin-1"), "not UTF-8"),
        ("path,caption\na.png,x\n".encode("utf-16"), "not UTF-8"),
        ('path,caption\n"a.png"x,y\n', r"no usable image \(set.csv, line 2: not valid CSV"),
    ],
)
def test_table_that_is_not_as_it_should_be(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(table(tmp_path, text).items())


@given(name=st.text(max_size=40))
def test_names_stay_inside(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        path = inside(root, name)
    except UserError:
        return
    assert Path(os.path.normpath(path)).is_relative_to(root)


@given(
    parts=st.lists(st.sampled_from(["..", ".", "a", "", "up", "~", "..."]), min_size=1, max_size=6),
    start=st.sampled_from(["", "/"]),
)
def test_paths_stay_inside(parts: list[str], start: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp() / "inside"
    root.mkdir(exist_ok=True)
    if not (root / "up").is_symlink():
        os.symlink("..", root / "up")
    name = start + "/".join(parts)
    try:
        path = inside(root, name)
    except UserError:
        assert name == "" or name.startswith("/") or ".." in parts or "up" in parts
    else:
        assert path.resolve().is_relative_to(root.resolve())


def test_quarantine_passes_each_picture_and_key_once(tmp_path: Path) -> None:
    refs = [ImageRef.from_pil(Image.new("RGB", (4, 4), (value, 0, 0))) for value in range(3)]
    found = [
        SourceItem("a", refs[0]),
        SourceItem("b", refs[0]),
        SourceItem("a", refs[1]),
        Rejected("c", "why"),
        SourceItem("d", refs[2], origin="x"),
    ]
    assert [(item.key, item.origin) if isinstance(item, SourceItem) else item for item in quarantine("s", found)] == [
        ("a", "a"),
        Rejected("b", "the same picture (identical bytes) occurs earlier in the source"),
        Rejected("a", "its key occurs earlier in the source"),
        Rejected("c", "why"),
        ("d", "x"),
    ]


def test_quarantine_is_lazy() -> None:
    def endless() -> Iterable[SourceItem]:
        for value in range(10**9):
            yield SourceItem(str(value), ImageRef.from_pil(Image.new("L", (20, 20), value % 256)))

    assert len(list(islice(quarantine("s", endless()), 5))) == 5


def test_specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "pictures" / "a.png")
    (tmp_path / "set.csv").write_text("path,caption\npictures/a.png,a dog\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in ("folder:pictures", "pictures", f"folder:{tmp_path}/pictures", "folder:~/pictures"):
        assert (open_source(spec).name, len(good(open_source(spec)))) == ("folder:pictures", 1)
    assert len(good(open_source("folder:pictures", str(tmp_path)))) == 1
    assert [item.captions for item in good(open_source("csv:set.csv"))] == [("a dog",)]
    assert open_source("set.csv").name == "csv:set.csv"
    assert open_source("photos").name == "photos"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("photo", "unknown source 'photo'; did you mean 'photos'"),
        ("photos:quik", "did you mean 'photos:quick'"),
        ("foldr:pictures", "did you mean 'folder'"),
        ("", "unknown source ''; known: photos"),
        ("folder:", "names no path; write folder:PATH"),
        ("csv:missing.csv", "is no file"),
        ("folder:missing", "does not exist"),
        ("wds:missing-{0..3}.tar", "no file matches .*missing-0.tar"),
    ],
)
def test_specs_that_name_nothing(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_source(spec)
    assert isinstance(caught.value, UsageError) is (
        "unknown" in message or "did you mean" in message or "names no" in message
    )
