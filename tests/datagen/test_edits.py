"""Edits that a source knows: there and back in one group, and with the caption alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datagen.generate import build
from datagen.plan import Config
from datagen.recipes import registry
from datagen.recipes.edits import Edits
from datagen.sources.hq_edit import HQEdit
from datagen.sources.types import SourceItem
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.shards import open_sets
from fuselip.core.types import Group, Input, Pair
from tests.datagen.annotations import good, hq_edit


def run(recipe: Edits, item: SourceItem) -> tuple[list[Group], list[str]]:
    made = list(recipe.generate(item, np.random.default_rng(0)))
    return [each for each in made if isinstance(each, Group)], [each.reason for each in made if isinstance(each, Skip)]


@pytest.fixture
def item(tmp_path: Path) -> SourceItem:
    hq_edit(tmp_path / "a.parquet", 1)
    return good(HQEdit("a.parquet", tmp_path))[0]


def test_as_the_paper_has_it(item: SourceItem) -> None:
    (both, captioned), skipped = run(Edits(), item)
    before, after = item.image, item.edits[0].image
    assert list(both.pairs) == [
        Pair(Input("edit 0", before), Input(image=after)),
        Pair(Input("inverse_edit 0", after), Input(image=before)),
    ]
    assert list(captioned.pairs) == [Pair(Input("edit 0", before), Input("output 0", after))]
    assert skipped == []
    assert both.key != captioned.key


def test_what_is_lacking_is_left_out(item: SourceItem) -> None:
    edit = item.edits[0]
    (alone,), skipped = run(Edits(), replace(item, edits=(replace(edit, inverse="", captions=()),)))
    assert list(alone.pairs) == [Pair(Input("edit 0", item.image), Input(image=edit.image))]
    assert (alone.params["form"], skipped) == ("forward", ["no_caption"])
    assert run(Edits(), replace(item, edits=())) == ([], ["no_edits"])
    odd = (replace(edit, instruction=" "), replace(edit, image=item.image))
    assert run(Edits(), replace(item, edits=odd)) == ([], ["no_instruction", "unchanged"])


def test_parameters() -> None:
    assert registry.create("edits", Edits(captioned=False).params).params == {"inverse": True, "captioned": False}
    with pytest.raises(UsageError, match="nothing would be made"):
        Edits(False, False)


def test_parquet_to_shards_by_two_processes(tmp_path: Path) -> None:
    """The images are read from the parquet cells by the workers."""
    hq_edit(tmp_path / "in" / "a.parquet", 5)
    for workers in (1, 2):
        source = HQEdit("a.parquet", tmp_path / "in")
        config = Config.of("edits", source.name, shard_items=2)
        build(config, source, tmp_path / str(workers), workers=workers)
    sets, again = (open_sets(tmp_path / name) for name in "12")
    assert {name: len(found) for name, found in sets.items()} == {"edits-p2-i2": 5, "edits-p1-i2": 5}
    sample = sets["edits-p2-i2"][3]
    assert [pair.left.text for pair in sample.group().pairs] == ["edit 3", "inverse_edit 3"]
    assert sample.image_bytes(1) == again["edits-p2-i2"][3].image_bytes(1)
    assert sample.image(0).load().size == (96, 64)
