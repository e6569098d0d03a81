"""OI-Crop and OI-Pos query sets: the published files, and builders that keep their rules and their format."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen import querysets
from datagen.boxes import iou
from datagen.querysets import Annotated, CropRules, PositionRules, annotated, crop_queries, position_queries
from datagen.sources.open_images import Labelled, OpenImages
from datagen.sources.types import Rejected
from fuselip.core.errors import UserError
from tests.datagen.annotations import open_images

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "openimages"
needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published query sets are not here")
SIZE = (1024, 683)
FRACTIONS = st.tuples(st.floats(0, 0.7), st.floats(0, 0.7), st.floats(0.06, 0.3), st.floats(0.08, 0.3))


def pictures(num_images: int, labels: str = "ABCDEF") -> list[Annotated]:
    """Images with one box of each label, side by side, as wide as 150 pixels."""
    boxes = [Labelled(label, 0.16 * i, 0.2, 0.16 * i + 0.15, 0.5) for i, label in enumerate(labels)]
    return [Annotated(f"{number:04d}.jpg", SIZE, boxes) for number in range(num_images)]


@needs_published
def test_published_crop_set() -> None:
    path = PUBLISHED / "oi-crop.json"
    queries = querysets.read(path)
    assert len(queries) == 1046
    rules = CropRules()
    for query in queries:
        own = [sample for sample in query.samples if sample.image == query.image]
        assert len(query.samples) == 10
        assert query.samples[: rules.own] == tuple(own)
        assert len({sample.label for sample in own}) == rules.own
        assert {sample.label for sample in query.samples[rules.own :]} == {query.label}
        assert all(iou(a.box, b.box) < rules.max_iou for i, a in enumerate(own) for b in own[:i])
        assert min(side(sample.box) for sample in query.samples) >= rules.min_side
    assert max(Counter(query.label for query in queries).values()) == rules.per_class
    assert querysets.to_json_crop(queries, "test") == json.loads(path.read_text())


@needs_published
def test_published_position_set() -> None:
    path = PUBLISHED / "oi-crop-positional-v3.json"
    queries = querysets.read(path)
    assert len(queries) == 2546
    rules = PositionRules()
    for query in queries:
        target, other, *background = query.samples
        assert target.label == other.label == query.label
        assert [sample.label for sample in background] == ["neg"] * len(background)
        assert len(background) <= rules.max_background
        towards = {"left": 1, "right": -1}[query.text.rpartition(" ")[2]]
        assert towards * (centre(other.box) - centre(target.box)) >= rules.gap
        assert min(side(target.box), side(other.box)) >= rules.min_side
        assert all(side(sample.box) >= rules.min_background for sample in background)
    assert max(Counter(query.label for query in queries).values()) == rules.per_class
    assert querysets.to_json_position(queries, "test") == json.loads(path.read_text())


def side(box: tuple[float, float, float, float]) -> float:
    return min(box[2] - box[0], box[3] - box[1])


def centre(box: tuple[float, float, float, float]) -> float:
    return (box[0] + box[2]) / 2


def test_crop_queries_keep_the_rules(tmp_path: Path) -> None:
    queries = list(crop_queries(pictures(8)))
    assert Counter(query.label for query in queries) == dict.fromkeys("ABCDEF", 5)
    for query in queries:
        own, others = query.samples[:5], query.samples[5:]
        assert (own[0].image, own[0].label, query.text) == (query.image, query.label, query.label)
        assert len({sample.label for sample in own}) == 5
        assert {sample.image for sample in own} == {query.image}
        assert {sample.label for sample in others} == {query.label}
        assert query.image not in {sample.image for sample in others}
        assert len({sample.image for sample in others}) == 5
    assert queries == list(crop_queries(pictures(8)))
    assert queries != list(crop_queries(pictures(8), seed=1))
    assert list(crop_queries(pictures(5))) == [], "five other images are needed"
    path = tmp_path / "crop.json"
    path.write_text(json.dumps(querysets.to_json_crop(queries, "val")))
    assert querysets.read(path) == queries


def test_position_queries_ask_for_both_sides(tmp_path: Path) -> None:
    left, right = Labelled("Ball (Object)", 0.3, 0.3, 0.4, 0.6), Labelled("Ball (Object)", 0.6, 0.2, 0.7, 0.5)
    (first, second) = position_queries([Annotated("a.jpg", SIZE, [right, left])])
    assert (first.text, second.text) == ("The ball (object) on the left", "The ball (object) on the right")
    assert first.samples[0].box == pytest.approx((307.2, 204.9, 409.6, 409.8))
    assert first.samples[:2] == second.samples[1::-1]
    assert first.samples[2:] == second.samples[2:]
    assert [sample.box for sample in first.samples[2:]] == [(0, 193, 297, 490), (727, 193, 1024, 490)]
    path = tmp_path / "position.json"
    value = querysets.to_json_position([first, second], "val")
    assert value["meta"] == {"subset": "val", "length": 1, "iou_thresh": "none"}
    path.write_text(json.dumps(value))
    assert querysets.read(path) == [first, second]


@pytest.mark.parametrize(
    "boxes",
    [
        [(0.1, 0.1, 0.3, 0.4)],
        [(0.1, 0.1, 0.3, 0.4), (0.4, 0.1, 0.6, 0.4), (0.7, 0.1, 0.9, 0.4)],
        [(0.1, 0.1, 0.3, 0.4), (0.12, 0.5, 0.32, 0.9)],
        [(0.1, 0.1, 0.14, 0.4), (0.4, 0.1, 0.6, 0.4)],
    ],
    ids=["one", "three", "one above the other", "too narrow"],
)
def test_no_position_query_where_sides_say_nothing(boxes: list[tuple[float, float, float, float]]) -> None:
    assert list(position_queries([Annotated("a.jpg", SIZE, [Labelled("Bird", *box) for box in boxes])])) == []


@given(boxes=st.lists(FRACTIONS, min_size=2, max_size=2))
def test_background_shows_neither_box(boxes: list[tuple[float, float, float, float]]) -> None:
    rules = PositionRules()
    pixels = [Labelled("x", x, y, x + w, y + h).pixels(*SIZE) for x, y, w, h in boxes]
    for found in querysets.backgrounds(pixels, SIZE, rules):
        assert found[2] - found[0] == found[3] - found[1] >= rules.min_background
        assert found[0] >= 0
        assert found[2] <= SIZE[0]
        assert found[1] >= 0
        assert found[3] <= SIZE[1]
        for box in pixels:
            assert found[2] <= box[0] - rules.margin or found[0] >= box[2] + rules.margin


def test_from_open_images(tmp_path: Path) -> None:
    rows = [
        ("a", "Bird", (0.1, 0.2, 0.3, 0.8)),
        ("a", "Bird", (0.6, 0.2, 0.9, 0.8)),
        ("gone", "Bird", (0.0, 0.0, 0.5, 0.5)),
    ]
    source = OpenImages(open_images(tmp_path, rows))
    (tmp_path / "images" / "gone.jpg").unlink()
    found = list(annotated(source))
    assert [each.item for each in found if isinstance(each, Rejected)] == ["gone"]
    queries = list(position_queries(each for each in found if isinstance(each, Annotated)))
    assert [query.image for query in queries] == ["a.jpg", "a.jpg"]
    assert queries[0].samples[0].box == pytest.approx((40, 60, 120, 240))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"data": [{"query_img": "a"}]},
        [],
        {"data": [{"query_img": "a", "query_target": "B", "retrieval_samples": []}]},
    ],
)
def test_other_files_are_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"a\.json is no query set"):
        querysets.read(path)
