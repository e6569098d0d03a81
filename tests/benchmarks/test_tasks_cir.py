"""The composed-retrieval tasks, on small copies in the publishers' formats: pools, answers and scores by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import controls
from benchmarks.evaluation import evaluate
from benchmarks.metrics import METRICS
from benchmarks.results import mean
from benchmarks.score import rank
from benchmarks.tasks import TASKS, load_task
from benchmarks.tasks.circo import ASPECTS
from benchmarks.types import Prediction, TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from tests.benchmarks.pictures import Thumbnails

MEMBERS = [f"dev-{number}-0-img0" for number in range(6)]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def paint(path: Path, number: int, size: tuple[int, int] = (24, 16)) -> None:
    """A picture of two colours that no other number has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number % 256))
    picture.paste((255 - number, number, 9), (2, 2, 9, 9))
    picture.save(path)


def small(name: str, **counts: int) -> TaskSpec:
    """The row of a task with the counts of the small copy."""
    return replace(TASKS[name], counts=counts)


@pytest.fixture
def cirr(tmp_path: Path) -> Path:
    """Eight photos; two sentences of one set of six."""
    names = [*MEMBERS, "dev-6-0-img0", "dev-7-0-img1"]
    for number, name in enumerate(names):
        paint(tmp_path / "cirr/images/dev" / f"{name}.png", number)
        paint(tmp_path / "cirr/images/test1" / f"{name}.png", number)
    members = {"id": 1, "members": MEMBERS, "reference_rank": 0}
    rows: list[dict[str, Any]] = [
        {"pairid": 10, "reference": MEMBERS[0], "caption": "two of them", "img_set": members},
        {"pairid": 11, "reference": MEMBERS[3], "caption": "with a dog", "img_set": members},
    ]
    answers = ({"target_hard": MEMBERS[1]}, {"target_hard": MEMBERS[5], "target_soft": {MEMBERS[5]: 1.0}})
    write(tmp_path / "cirr/captions/cap.rc2.val.json", [row | more for row, more in zip(rows, answers, strict=True)])
    write(tmp_path / "cirr/captions/cap.rc2.test1.json", rows)
    for split, folder in (("val", "dev"), ("test1", "test1")):
        places = {name: f"./{folder}/{name}.png" for name in names}
        write(tmp_path / f"cirr/image_splits/split.rc2.{split}.json", places)
    return tmp_path


@pytest.fixture
def circo(tmp_path: Path) -> Path:
    numbers = range(100, 110)
    for number in numbers:
        paint(tmp_path / "coco/unlabeled2017" / f"{number:012d}.jpg", number)
    info = {"images": [{"id": number, "file_name": f"{number:012d}.jpg"} for number in numbers], "licenses": []}
    write(tmp_path / "coco/annotations/image_info_unlabeled2017.json", info)
    row = {"reference_img_id": 100, "relative_caption": "has a red hat", "shared_concept": "a man"}
    right = {"target_img_id": 101, "gt_img_ids": [101, 103], "semantic_aspects": ["addition"]}
    write(tmp_path / "circo/annotations/val.json", [row | right | {"id": 0}])
    write(tmp_path / "circo/annotations/test.json", [row | {"id": 0}, row | {"id": 1}])
    return tmp_path


@pytest.fixture
def fashioniq(tmp_path: Path) -> Path:
    names = [f"B00{number}" for number in range(5)]
    for number, name in enumerate(names):
        paint(tmp_path / "fashioniq/images" / f"{name}.jpg", number)
    rows = [
        {"candidate": "B000", "target": "B001", "captions": ["is longer. ", "has a belt?"]},
        {"candidate": "B000", "target": "B002", "captions": ["is red", "is red"]},
    ]
    write(tmp_path / "fashioniq/captions/cap.dress.val.json", rows)
    write(tmp_path / "fashioniq/image_splits/split.dress.val.json", names)
    return tmp_path


@pytest.fixture
def genecis(tmp_path: Path) -> Path:
    for number in range(1, 7):
        paint(tmp_path / "coco/val2017" / f"{number:012d}.jpg", number)
        paint(tmp_path / "vg" / ("VG_100K", "VG_100K_2")[number % 2] / f"{number}.jpg", number, (40, 30))

    def row(things: Sequence[Any]) -> dict[str, Any]:
        return {"condition": "dog", "reference": things[0], "target": things[1], "gallery": things[2:]}

    pictures = [{"val_image_id": number} for number in range(1, 7)]
    boxes = [{"image_id": n, "instance_bbox": [10, 10, 10, 5], "object_name": "cat"} for n in range(1, 7)]
    for name in ("focus_object", "change_object"):
        write(tmp_path / f"genecis/{name}.json", [row(pictures), row(pictures[:4]), row(pictures[::-1])])
    for name in ("focus_attribute", "change_attribute"):
        write(tmp_path / f"genecis/{name}.json", [row(boxes), row(boxes[::-1])])
    return tmp_path


def load(spec: TaskSpec, data: Path, **options: Any) -> TaskData:
    return load_task(spec, TaskContext(data=data, **options))


def scored(data: TaskData, wanted: dict[str, list[str]]) -> list[Prediction]:
    """The ranking of an encoder whose scores fall in the order of the names given, and are 0 for all others."""
    contents = controls.data_contents(data)
    row = {content: place for place, content in enumerate(contents)}
    vectors = np.zeros((len(data.queries), len(contents)))
    for number, query in enumerate(data.queries):
        for place, key in enumerate(wanted[query.key]):
            vectors[number, row[data.candidates[key].content]] = 1 / (1 + place)
    return rank(data.queries, data, vectors, contents, np.eye(len(contents)))


def value(metric: str, predictions: list[Prediction]) -> float:
    return mean(METRICS[metric], predictions)


def check_controls(data: TaskData, metric: str, oracle: float = 1.0) -> None:
    found = controls.predictions(data)
    chance = float(np.mean([unit.chance for unit in METRICS[metric].units(found["constant"])]))
    assert value(metric, found["constant"]) == pytest.approx(chance, abs=1e-12)
    assert value(metric, found["oracle"]) == oracle


def test_cirr_recall_without_the_reference(cirr: Path) -> None:
    data = load(small("cirr/val", queries=2, candidates=8), cirr)
    first, second = data.queries
    assert first.exclude == {MEMBERS[0]}
    assert first.relevance == {MEMBERS[1]: 1.0}
    assert first.input.text == "two of them"
    assert first.input.image == data.candidates[MEMBERS[0]].inputs[0].image
    assert (first.cluster, second.cluster) == (MEMBERS[0], MEMBERS[3])
    # The reference is likest to itself, and must not push the answer to the second place; elsewhere it is a candidate.
    found = scored(data, {"10": [MEMBERS[0], MEMBERS[1]], "11": [MEMBERS[0], MEMBERS[1], MEMBERS[5]]})
    assert [row.pool for row in found] == [7, 7]
    assert [name for name, _ in found[1].top[:3]] == [MEMBERS[0], MEMBERS[1], MEMBERS[5]]
    assert value("hit@1", found) == 0.5
    assert value("hit@5", found) == 1.0
    assert value("mrr", found) == pytest.approx((1 + 1 / 3) / 2)
    check_controls(data, "hit@1")
    assert METRICS["hit@1"].units(controls.constant(data))[0].chance == pytest.approx(1 / 7)


def test_cirr_subset_ranks_the_other_five(cirr: Path) -> None:
    data = load(small("cirr/val-subset", queries=2, candidates=8), cirr)
    assert set(data.candidates) == set(MEMBERS)
    for query in data.queries:
        assert set(query.candidates or ()) == set(MEMBERS) - {query.cluster}
    check_controls(data, "hit@1")
    assert value("hit@1", controls.constant(data)) == pytest.approx(1 / 5)
    found = scored(data, {"10": [MEMBERS[2], MEMBERS[1]], "11": [MEMBERS[5]]})
    assert (value("hit@1", found), value("hit@2", found)) == (0.5, 1.0)


@pytest.mark.parametrize("name", ["cirr/test", "cirr/test-subset"])
def test_cirr_test_split_has_no_answers(cirr: Path, name: str) -> None:
    data = load(small(name, queries=2, candidates=8), cirr)
    assert [query.relevance for query in data.queries] == [{}, {}]
    assert TASKS[name].params["server"] == ("cirr-recall_subset" if "subset" in name else "cirr-recall")
    assert all(not row.targets for row in controls.random(data))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"caption": 3}, "entry 0.*'caption' is missing or of another kind"),
        ({"reference": "dev-99-0-img0"}, "no picture 'dev-99-0-img0'"),
        ({"target_hard": MEMBERS[0]}, "is not among the candidates"),
        ({"pairid": 11}, "'11' comes twice"),
        ({"img_set": {"members": [1, 2]}}, "a list of strings is needed"),
    ],
)
def test_cirr_with_a_damaged_entry_is_refused(cirr: Path, change: dict[str, Any], says: str) -> None:
    path = cirr / "cirr/captions/cap.rc2.val.json"
    first, second = json.loads(path.read_text())
    write(path, [first | change, second])
    with pytest.raises(UserError, match=says):
        load(small("cirr/val", queries=2), cirr)


def test_pictures_stay_in_the_folder_and_are_counted(cirr: Path) -> None:
    with pytest.raises(UserError, match="2 queries where the publisher's files have 4181"):
        load(TASKS["cirr/val"], cirr)
    with pytest.raises(UserError, match="8 candidates where the publisher's files have 2297"):
        load(small("cirr/val", queries=2, candidates=2297), cirr)
    write(cirr / "cirr/image_splits/split.rc2.val.json", dict.fromkeys(MEMBERS, "../../../../etc/passwd"))
    with pytest.raises(UserError, match="leads out of"):
        load(small("cirr/val", queries=2), cirr)


def test_circo_map_by_hand(circo: Path) -> None:
    data = load(small("circo/val", queries=1), circo)
    [query] = data.queries
    assert query.relevance == {"101": 1.0, "103": 1.0}
    assert query.exclude == frozenset()
    assert query.tags == {aspect: aspect == "addition" for aspect in ASPECTS}
    assert (query.input.text, query.cluster) == ("has a red hat", "100")
    # The reference comes first and counts as wrong: right ones at ranks 2 and 4, so AP@5 = (1/2 + 2/4) / 2.
    found = scored(data, {"0": ["100", "101", "102", "103"]})
    assert value("map@5", found) == pytest.approx(0.5)
    # And with the second one at rank 6: it counts for AP@10 only, over min(k, 2).
    found = scored(data, {"0": ["100", "101", "102", "104", "105", "103"]})
    assert value("map@5", found) == pytest.approx(0.25)
    assert value("map@10", found) == pytest.approx((1 / 2 + 2 / 6) / 2)
    check_controls(data, "map@5")


def test_circo_target_alone(circo: Path) -> None:
    data = load(small("circo/val-target", queries=1), circo)
    assert data.queries[0].relevance == {"101": 1.0}
    found = scored(data, {"0": ["103", "102", "104", "105", "106", "101"]})
    assert (value("hit@5", found), value("hit@10", found)) == (0.0, 1.0)
    check_controls(data, "hit@5")


def test_circo_test_split(circo: Path) -> None:
    data = load(small("circo/test", queries=2), circo, limit=1)
    assert [(query.key, query.relevance, query.tags) for query in data.queries] == [("0", {}, {})]
    assert len(data.candidates) == 10
    write(circo / "circo/annotations/val.json", [{"id": 0, "reference_img_id": 5, "relative_caption": "a"}])
    with pytest.raises(UserError, match=r"val\.json, entry 0: 'target_img_id' is missing"):
        load(small("circo/val", queries=1), circo)


def test_fashioniq_galleries_and_captions(fashioniq: Path) -> None:
    whole = load(small("fashioniq/dress", queries=2, candidates=5), fashioniq)
    union = load(small("fashioniq-val-protocol/dress", queries=2), fashioniq)
    assert set(whole.candidates) == {f"B00{number}" for number in range(5)}
    assert set(union.candidates) == {"B000", "B001", "B002"}
    assert [query.input.text for query in whole.queries] == ["is longer and has a belt", "is red and is red"]
    assert [query.relevance for query in union.queries] == [{"B001": 1.0}, {"B002": 1.0}]
    assert all(not query.exclude and query.cluster == "B000" for query in whole.queries)
    assert any('joined by "and"' in note for note in whole.notes)
    check_controls(whole, "hit@1")
    assert value("hit@10_50", controls.random(whole)) == 1.0  # the pool has five


def test_fashioniq_headline_is_the_mean_of_two_recalls(tmp_path: Path) -> None:
    names = [f"B{number:03d}" for number in range(60)]
    for number, name in enumerate(names):
        paint(tmp_path / "fashioniq/images" / f"{name}.jpg", number)
    rows = [{"candidate": "B000", "target": f"B0{n}", "captions": ["a", "b"]} for n in (10, 30)]
    write(tmp_path / "fashioniq/captions/cap.shirt.val.json", rows)
    write(tmp_path / "fashioniq/image_splits/split.shirt.val.json", names)
    data = load(small("fashioniq/shirt", queries=2, candidates=60), tmp_path)
    first, second = (query.key for query in data.queries)
    found = scored(data, {first: names[8:12], second: names[10:31]})  # ranks 3 and 21
    assert (value("hit@10", found), value("hit@50", found)) == (0.5, 1.0)
    assert value("hit@10_50", found) == 0.75
    check_controls(data, "hit@10_50")


def test_genecis_objects(genecis: Path) -> None:
    data = load(small("genecis/focus_object", queries=2), genecis)
    assert [(skip.item, skip.reason) for skip in data.skipped] == [("0001", "its gallery is not of 4")]
    first, last = data.queries
    assert (first.relevance, first.candidates) == ({"2": 1.0}, ("2", "3", "4", "5", "6"))
    assert (last.relevance, last.cluster) == ({"5": 1.0}, "6")
    assert (first.input.text, first.cluster) == ("dog", "1")
    check_controls(data, "hit@1")
    assert value("hit@1", controls.constant(data)) == pytest.approx(1 / 5)


def test_genecis_attributes_are_cut_as_the_authors_cut_them(genecis: Path) -> None:
    data = load(small("genecis/change_attribute"), genecis)
    query = data.queries[0]
    assert query.relevance == {"2/10,10,10,5": 1.0}
    assert query.input.image is not None
    whole = np.asarray(Image.open(genecis / "vg/VG_100K_2/1.jpg").convert("RGB"))
    # left 10 - 7 = 3, top 10 - 3.5 = 6.5; right 3 + 17 = 20, bottom 6.5 + 8.5 = 15: rows 6 (half to even) to 15.
    cut = whole[6:15, 3:20]
    square = np.zeros((17, 17, 3), np.uint8)
    square[4:13] = cut
    assert np.array_equal(np.asarray(query.input.image.load()), square)
    check_controls(data, "hit@1")


@pytest.mark.parametrize(
    ("name", "folder", "counts"),
    [
        ("cirr/val", "cirr", {"queries": 2, "candidates": 8}),
        ("circo/val", "circo", {"queries": 1}),
        ("fashioniq/dress", "fashioniq", {"queries": 2, "candidates": 5}),
        ("genecis/focus_attribute", "genecis", {}),
    ],
)
def test_annotations_alone_give_the_same_questions(
    name: str, folder: str, counts: dict[str, int], request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue(folder)
    seen, blind = load(small(name, **counts), data), load(small(name, **counts), data, blind=True)
    assert [(q.key, q.input.text, q.relevance, q.cluster) for q in seen.queries] == [
        (q.key, q.input.text, q.relevance, q.cluster) for q in blind.queries
    ]
    assert seen.candidates.keys() == blind.candidates.keys()
    assert len({each.content for each in blind.candidates.values()}) == len(blind.candidates)


def test_a_whole_evaluation(cirr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cirr/val", "cirr/val-subset"):
        monkeypatch.setitem(TASKS, name, small(name, queries=2, candidates=8))
    done = evaluate(Thumbnails(), tasks=["cirr/val*"], data=cirr, cache=False)
    whole, subset = done.results
    assert (whole.name, whole.n, set(whole.metrics)) == ("cirr/val", 2, {"hit@1", "hit@5", "hit@10", "hit@50"})
    assert whole.chance == pytest.approx(1 / 7)
    assert (subset.chance, set(subset.metrics)) == (pytest.approx(1 / 5), {"hit@1", "hit@2", "hit@3"})
    assert whole.controls["oracle"] == subset.controls["oracle"] == 1.0
    assert "the reference photo is not among the candidates" in whole.notes


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`fuselip-bench fetch cirr/val` gets it from https://raw"):
        load(TASKS["cirr/val"], tmp_path)
    with pytest.raises(UserError, match="copy it from https://github"):
        load(TASKS["fashioniq/dress"], tmp_path)
