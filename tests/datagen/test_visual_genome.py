"""Visual Genome is streamed, image by image or in the paper's groups of four, and what is bad is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.sources import json_array
from datagen.sources.json_array import elements
from datagen.sources.registry import open_source
from datagen.sources.types import Question, Region
from datagen.sources.visual_genome import VisualGenome
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import ImageRef
from tests.datagen.annotations import bad, good, visual_genome, write_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(values=st.lists(VALUES, max_size=6), indent=st.sampled_from([None, 1]), chunk=st.integers(1, 50))
def test_elements_are_those_of_the_array(
    values: list[object], indent: int | None, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(" \n" + json.dumps(values, indent=indent, ensure_ascii=False) + "\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", chunk)
        assert list(elements(path)) == values


def test_elements_come_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + '{"id": 1}, ' * 200_000 + "broken")
    stream = elements(path)
    assert [next(stream) for _ in range(3)] == [{"id": 1}] * 3
    with pytest.raises(UserError, match="cut short"):
        list(stream)


@pytest.mark.parametrize("text", ["{}", "", "[1, 2", "[1 2]", "[1,]", '[{"a": 1]', "[1, 12"])
def test_what_is_no_array_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.json"):
        list(elements(path))


def test_an_item_is_an_image_with_all_its_regions(tmp_path: Path) -> None:
    source = VisualGenome(visual_genome(tmp_path, 3))
    items = good(source)
    assert [item.key for item in items] == ["1", "2", "3"]
    assert items[0].image == ImageRef.from_file(tmp_path / "VG_100K_2" / "1.jpg")
    assert items[1].image == ImageRef.from_file(tmp_path / "VG_100K" / "2.jpg")
    assert items[1].regions[2] == Region("thing 2 of 2", (100, 10, 140, 70))
    assert all(region.image is None for item in items for region in item.regions)
    assert list(source.items()) == list(source.items())
    assert bad(source) == {}


def test_answers_lose_their_trailing_dot(tmp_path: Path) -> None:
    items = good(open_source(f"vg-questions:{visual_genome(tmp_path, 1)}"))
    assert items[0].questions[0] == Question("What is 0?", "Thing 0")
    assert items[0].regions == ()


def test_paper_groups_are_four_consecutive_entries_and_straddle_images(tmp_path: Path) -> None:
    items = good(open_source(f"vg-regions:{visual_genome(tmp_path, 3)}?grouping=paper"))
    phrases = [[region.phrase for region in item.regions] for item in items]
    assert phrases == [
        ["thing 0 of 1", "thing 1 of 1", "thing 2 of 1", "thing 0 of 2"],
        ["thing 1 of 2", "thing 2 of 2", "thing 0 of 3", "thing 1 of 3"],
        ["thing 2 of 3"],
    ]
    first = items[0].regions
    one, two = (
        ImageRef.from_file(tmp_path / "VG_100K_2" / "1.jpg"),
        ImageRef.from_file(tmp_path / "VG_100K" / "2.jpg"),
    )
    assert [region.image for region in first] == [one, one, one, two]
    assert items[0].image == one
    assert items[1].image == two
    questions = good(VisualGenome(tmp_path, "questions", "paper"))
    assert [len(item.questions) for item in questions] == [4, 4, 1]
    assert [each.image for each in questions[0].questions] == [one, one, one, two]


def test_a_missing_image_rejects_its_groups_and_shifts_none(tmp_path: Path) -> None:
    visual_genome(tmp_path, 6, regions=4)
    whole = {item.key: item for item in good(VisualGenome(tmp_path, grouping="paper"))}
    (tmp_path / "VG_100K" / "2.jpg").unlink()
    (tmp_path / "VG_100K_2" / "3.jpg").write_text("<html>")
    source = VisualGenome(tmp_path, grouping="paper")
    left = {item.key: item for item in good(source)}
    assert set(whole) - set(left) == {"regions-00000001", "regions-00000002"} == set(bad(source))
    assert all(whole[key] == item for key, item in left.items())
    assert "2.jpg does not exist" in bad(source)["regions-00000001"]
    assert set(bad(VisualGenome(tmp_path))) == {"2", "3"}


def test_bad_entries_are_named_and_the_others_kept(tmp_path: Path) -> None:
    visual_genome(tmp_path, 2)
    region = {"image_id": 1, "x": 0, "y": 0, "width": 9, "height": 9, "phrase": "fine"}
    records = [
        {
            "id": 1,
            "regions": [
                region | {"x": -5, "width": 900},
                region | {"x": 500},
                region | {"phrase": " "},
                region | {"width": "wide"},
                {"image_id": 1, "phrase": "no box"},
                region,
            ],
        },
        {"id": 2},
        {"id": 2, "regions": []},
    ]
    write_json(tmp_path / "region_descriptions.json", records)
    source = VisualGenome(tmp_path)
    first, second = good(source)
    assert [region.box for region in first.regions] == [(0, 0, 200, 9), (0, 0, 9, 9)]
    assert second.regions == ()
    reasons = bad(source)
    assert set(reasons) == {
        "1, entry 1",
        "1, entry 2",
        "1, entry 3",
        "1, entry 4",
        "region_descriptions.json, record 1",
    }
    assert "lies outside" in reasons["1, entry 1"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"region_descriptions\.json does not exist"):
        VisualGenome(tmp_path)
    visual_genome(tmp_path, 1)
    with pytest.raises(UsageError, match="one of clean, paper"):
        VisualGenome(tmp_path, grouping="four")
    with pytest.raises(UsageError, match="did you mean 'grouping'"):
        open_source(f"vg-regions:{tmp_path}?groupin=paper")
    shutil.rmtree(tmp_path / "VG_100K_2")
    with pytest.raises(UserError, match="no folder of images"):
        VisualGenome(tmp_path)
