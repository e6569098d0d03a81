"""Virtual sets: rows say how to make groups, the same ones as a real build makes, and redraw by epoch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sets import captions, hashes, source

from datagen import virtual
from datagen.types import Skip
from fuselip.core.errors import UserError
from fuselip.core.shards import Shard
from fuselip.core.types import Group


@pytest.fixture
def built(tmp_path: Path) -> Path:
    spec = source(tmp_path / "images", 6)
    table = tmp_path / "images/list.csv"
    rows = [line for number in range(6) for line in (f"{number:04d}.jpg,{word} {number}" for word in "abcdefgh")]
    table.write_text("\n".join(["path,caption", *rows]))
    captions(spec, tmp_path / "set", virtual=True, root=tmp_path / "images")
    captions(spec, tmp_path / "real")
    return tmp_path


def groups(folder: Path, epoch: int | None = None, root: str = "images") -> list[Group]:
    found = []
    for row in virtual.read(folder / "set"):
        for each in virtual.realise(row, epoch, folder / root):
            assert not isinstance(each, Skip)
            found.append(each)
    return found


def test_rows_realise_to_the_groups_of_a_real_build(built: Path) -> None:
    made = groups(built)
    stored = [sample.group() for path in sorted((built / "real/data").rglob("*.tar")) for sample in Shard(path)]
    assert [each.key for each in made] == [each.key for each in stored]
    assert [each.pairs[0].right.text for each in made] == [each.pairs[0].right.text for each in stored]
    image = made[0].pairs[0].left.image
    assert image is not None
    assert image.load().size == (48, 32)


def test_the_epoch_redraws_and_comes_back(built: Path) -> None:
    first = [group.key for group in groups(built)]
    assert [group.key for group in groups(built, epoch=0)] == first
    second = [group.key for group in groups(built, epoch=1)]
    assert second != first
    assert [group.key for group in groups(built, epoch=1)] == second


def test_workers_do_not_matter(built: Path) -> None:
    spec = f"csv:{built / 'images/list.csv'}"
    captions(spec, built / "two", virtual=True, root=built / "images", workers=2)
    assert hashes(built / "two") == hashes(built / "set")


def test_a_set_moves_with_its_images(built: Path) -> None:
    shutil.move(built / "images", built / "elsewhere")
    image = groups(built, root="elsewhere")[0].pairs[0].left.image
    assert image is not None
    assert image.load().size == (48, 32)


def test_an_unknown_version_or_recipe_is_an_error(built: Path) -> None:
    row = next(virtual.read(built / "set"))
    with pytest.raises(UserError, match=r"is version 1 here.*made by version 9"):
        virtual.realise({**row, "version": 9})
    with pytest.raises(UserError, match="unknown recipe 'caption'; did you mean 'captions'"):
        virtual.realise({**row, "recipe": "caption"})
    with pytest.raises(UserError, match="no parameter 'per_imag'"):
        virtual.realise({**row, "params": '{"per_imag": 1}'})


@pytest.mark.parametrize("path", ["/etc/hostname", "../../secret.jpg"])
def test_file_names_stay_inside_the_root(built: Path, path: str) -> None:
    row = next(virtual.read(built / "set"))
    item = json.loads(row["item"])
    item["image"]["path"] = path
    with pytest.raises(UserError, match="leads out"):
        virtual.realise({**row, "item": json.dumps(item)}, root=built / "images")


@pytest.mark.parametrize("item", ["{}", "[", "[]", '{"key": 1}', "null"])
def test_damaged_rows_are_user_errors(built: Path, item: str) -> None:
    row = next(virtual.read(built / "set"))
    with pytest.raises(UserError, match="is not as it should be"):
        virtual.realise({**row, "item": item})
