"""OI-Crop, OI-Pos, VG-Crop, the paper's TGIT rows, held-out questions: published annotations and small copies."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.evaluation import evaluate
from benchmarks.tasks import TASKS, load_task
from benchmarks.tasks.crops import pixels
from benchmarks.tasks.held_out_vqa import is_held_out
from benchmarks.types import TaskContext, TaskData, TaskSpec
from datagen.transforms.families import FAMILIES
from fuselip.core.errors import UserError
from tests.benchmarks.local_sets import check_controls, load_pixels, photo, write
from tests.benchmarks.pictures import Thumbnails

Corners = tuple[float, float, float, float]


def small(name: str, **changes: Any) -> TaskSpec:
    """The row without the publisher's counts and chance, which a small copy does not have."""
    return replace(TASKS[name], counts={}, chance=None, **changes)


def load(spec: TaskSpec, root: Path, **options: Any) -> TaskData:
    return load_task(spec, TaskContext(data=root, **options))


# Open Images


@pytest.mark.parametrize(("name", "queries", "candidates"), [("oi/crop", 1046, 8425), ("oi/pos", 2546, 7011)])
def test_published_open_images_annotations(shared: Path, name: str, queries: int, candidates: int) -> None:
    data = load(TASKS[name], shared / "data", blind=True)
    assert len(data.queries) == queries
    assert len(data.candidates) == candidates
    assert check_controls(TASKS[name], data) == pytest.approx({"oi/crop": 0.1, "oi/pos": 0.26577638}[name])
    assert all(
        len(query.relevance) == 1 and set(query.relevance) <= set(query.candidates or ()) for query in data.queries
    )
    assert not data.skipped
    if name == "oi/pos":
        sides = [query.tags["side"] for query in data.queries]
        assert (sides.count("left"), sides.count("right")) == (1268, 1278)


def test_partial_scores_of_open_images(shared: Path) -> None:
    """What half a skill earns, counted in the published pools."""
    data = load(TASKS["oi/crop"], shared / "data", blind=True)
    own = [sum(key.startswith(query.cluster) for key in query.candidates or ()) for query in data.queries]
    assert set(own) == {5}
    samples = json.loads((shared / "data/openimages/oi-crop.json").read_text())["data"]
    labels = [
        [sample["LabelName"] for sample in row["retrieval_samples"]].count(row["query_target"]) for row in samples
    ]
    assert set(labels) == {6}
    assert TASKS["oi/crop"].partial == {"image alone": 1 / 5, "text alone": 1 / 6}
    rows = json.loads((shared / "data/openimages/oi-crop-positional-v3.json").read_text())["data"]
    alike = {
        [sample["LabelName"] for sample in row["retrieval_samples"]].count(label)
        for label in rows
        for row in rows[label]
    }
    assert alike == {2}
    assert TASKS["oi/pos"].partial["right object, ignores left and right"] == 1 / 2


def sample(image: str, label: str, corners: Corners) -> dict[str, Any]:
    return {
        "ImageID": image,
        "LabelName": label,
        "bbox": dict(zip(("XMin", "YMin", "XMax", "YMax"), corners, strict=True)),
    }


def open_images(root: Path, width: int = 100, height: int = 80) -> Path:
    """Two pictures, and one query on each in either format; the answer stands last."""
    for number in range(2):
        photo(root / f"openimages/images/{number}.jpg", number, width, height)
    boxes: list[Corners] = [(10.5, 8.0, 40.25, 60.0), (11.5, 20.0, 99.0, 80.0), (0.0, 0.0, 30.0, 30.0)]
    crop, pos = [], []
    for own, other in ((0, 1), (1, 0)):
        answer = sample(f"{own}.jpg", "Bird", boxes[0])
        wrong = [sample(f"{other}.jpg", "Bird", boxes[1]), sample(f"{own}.jpg", "Cat", boxes[2])]
        crop.append({"query_img": f"{own}.jpg", "query_target": "Bird", "retrieval_samples": [*wrong, answer]})
        like = [sample(f"{own}.jpg", "Bird", boxes[1]), sample(f"{own}.jpg", "neg", boxes[2])]
        asked = {"query_img": f"{own}.jpg", "query_target": "The bird on the left", "label": "Bird"}
        pos.append({**asked, "bbox": answer["bbox"], "retrieval_samples": [*like, answer]})
    write(root / "openimages/oi-crop.json", {"meta": {}, "data": crop})
    write(root / "openimages/oi-crop-positional-v3.json", {"meta": {}, "data": {"Bird": pos}})
    return root


@pytest.mark.parametrize("name", ["oi/crop", "oi/pos"])
def test_open_images_crops_are_those_of_pil(tmp_path: Path, name: str) -> None:
    data = load(small(name), open_images(tmp_path))
    assert check_controls(small(name), data) == pytest.approx(1 / 3)
    assert {query.cluster for query in data.queries} == {"0.jpg", "1.jpg"}
    for query in data.queries:
        (target,) = query.relevance
        whole = Image.open(tmp_path / "openimages/images" / query.cluster)
        assert np.array_equal(load_pixels(data, target), np.asarray(whole.crop((10.5, 8.0, 40.25, 60.0))))  # type: ignore[arg-type]
        assert target == f"{query.cluster}/10-8-40-60"
        assert query.tags["label"] == "Bird"
        assert query.tags["target share"] == round(30 * 52 / 8000, 4)
    shallow = load(small(name), tmp_path / "openimages")  # the folder of the set itself
    assert shallow.data_hash == data.data_hash
    assert len(load(small(name), tmp_path, limit=1).queries) == 1


def test_answer_is_found_by_content_not_by_place(tmp_path: Path) -> None:
    hashes = []
    for turn in range(3):
        root = open_images(tmp_path / str(turn))
        path = root / "openimages/oi-crop.json"
        content = json.loads(path.read_text())
        for row in content["data"]:
            row["retrieval_samples"] = row["retrieval_samples"][turn:] + row["retrieval_samples"][:turn]
        write(path, content)
        hashes.append(load(small("oi/crop"), root).data_hash)
    assert len(set(hashes)) == 1


@given(st.tuples(*[st.floats(-200, 200, allow_nan=False)] * 4))
def test_pixels_are_rounded_as_pil_rounds(corners: Corners) -> None:
    left, top, right, bottom = corners
    if round(left) < round(right) and round(top) < round(bottom):
        found = pixels(corners, "here")
        assert Image.new("L", (8, 8)).crop(corners).size == (found[2] - found[0], found[3] - found[1])  # type: ignore[arg-type]
    else:
        with pytest.raises(UserError, match=r"here: the box .* holds no pixel"):
            pixels(corners, "here")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300, "3", None])
def test_boxes_that_are_no_numbers(bad: Any) -> None:
    with pytest.raises(UserError, match="not made of numbers"):
        pixels((0, 0, bad, 3), "here")


def change(root: Path, name: str, path: Sequence[str | int], value: Any) -> None:
    """Sets what `path` leads to in a JSON file."""
    file = root / "openimages" / name
    content = part = json.loads(file.read_text())
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    write(file, content)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["data"], "text", "oi-crop.json: 'data' is missing or of another kind"),
        (["data", 1], [], "entry 1: an object is needed here"),
        (["data", 1, "query_img"], 7, "entry 1: 'query_img' is missing or of another kind"),
        (["data", 1, "retrieval_samples", 0, "bbox", "XMax"], "9", "entry 1: 'XMax' is missing"),
        (["data", 1, "retrieval_samples", 0, "bbox", "XMax"], 101, "entry 1: the box .* outside its picture of 100x80"),
        (["data", 1, "retrieval_samples", 0, "bbox", "XMax"], 3.0, "entry 1: the box .* holds no pixel"),
        (["data", 1, "retrieval_samples", 0, "bbox", "XMax"], float("nan"), "entry 1: the box .* not made of numbers"),
        (["data", 1, "retrieval_samples", 0, "ImageID"], "../../secret.jpg", "leads out of"),
        (["data", 1, "retrieval_samples", 0, "ImageID"], "9.jpg", "openimages/images/9.jpg, which is not there"),
        (["data", 1, "query_target"], "Dog", "entry 1: 0 samples are what is asked for"),
        (["data", 1, "query_img"], "0.jpg", "entry 1: 0 samples|entry 1: .* asked twice"),
    ],
)
def test_bad_open_images_entries(tmp_path: Path, path: list[str | int], value: Any, message: str) -> None:
    change(open_images(tmp_path), "oi-crop.json", path, value)
    with pytest.raises(UserError, match=message):
        load(small("oi/crop"), tmp_path)


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    """Larger copies, on which every box lies inside."""
    open_images(tmp_path, 307, 231)
    with pytest.raises(UserError, match=r"boxes do not fit the sizes of 2 of 2 pictures.*1024 pixels"):
        load(small("oi/crop"), tmp_path)


def test_missing_and_broken_files_say_how_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"oi/crop needs .*oi-crop.json, which is not there; copy oi-crop.json from"):
        load(TASKS["oi/crop"], tmp_path)
    open_images(tmp_path)
    with pytest.raises(UserError, match="2 queries where the publisher's files have 1046"):
        load(TASKS["oi/crop"], tmp_path)
    (tmp_path / "openimages/oi-crop.json").write_text('{"data": [')
    with pytest.raises(UserError, match=r"oi-crop.json is not readable JSON .* copy oi-crop.json from"):
        load(TASKS["oi/crop"], tmp_path)
    with pytest.raises(UserError, match="fuselip-bench fetch vg/vqa"):
        load(TASKS["vg/vqa"], tmp_path)


# Visual Genome


def region(image: int, x: int, y: int, width: int, height: int, phrase: str) -> dict[str, Any]:
    return {"image_id": image, "x": x, "y": y, "width": width, "height": height, "phrase": phrase}


def visual_genome(root: Path, num_images: int = 3, folder: str = "VG_100K") -> Path:
    """Pictures with three regions that stay, one that overlaps the first, one that is small, one that reaches out."""
    records: list[dict[str, Any]] = [{"id": 9, "regions": [region(9, 0, 0, 32, 90, "too small")]}]
    for image in range(10, 10 + num_images):
        photo(root / f"vg/{folder}/{image}.jpg", image, 200, 100)
        regions = [
            region(image, 0, 0, 50, 50, "a hat"),
            region(image, 5, 5, 50, 50, "the same hat"),
            region(image, 60, 0, 33, 33, "a dog"),
            region(image, 60, 40, 33, 32, "not high enough"),
            region(image, 120, 20, 90, 70, "a car that goes on"),
        ]
        records.append({"id": image, "regions": regions})
    write(root / "vg/region_descriptions_test.json", records)
    return root


@pytest.mark.parametrize("folder", ["VG_100K", "VG_100K_2", "images"])
def test_vg_crop_by_hand(tmp_path: Path, folder: str) -> None:
    data = load(TASKS["vg/crop"], visual_genome(tmp_path, folder=folder))
    assert [(query.cluster, query.input.text) for query in data.queries] == [
        (str(image), phrase) for image in (10, 11, 12) for phrase in ("a hat", "a dog", "a car that goes on")
    ]
    assert check_controls(TASKS["vg/crop"], data) == pytest.approx(1 / 3)
    assert all(len(query.candidates or ()) == 3 and query.relevance == {query.key: 1.0} for query in data.queries)
    whole = np.asarray(Image.open(tmp_path / f"vg/{folder}/11.jpg"))
    assert np.array_equal(load_pixels(data, "11/60-0-93-33"), whole[0:33, 60:93])
    assert np.array_equal(load_pixels(data, "11/120-20-210-90"), whole[20:90, 120:200])  # cut at the edge
    assert "boxes that reach past their picture are cut at its edge (3), not padded with black" in data.notes
    assert len(load(TASKS["vg/crop"], tmp_path, limit=2).queries) == 6
    blind = load(TASKS["vg/crop"], tmp_path, blind=True)
    assert [query.key for query in blind.queries] == [query.key for query in data.queries]


def test_vg_crop_asks_of_the_first_100_pictures(tmp_path: Path) -> None:
    write(
        tmp_path / "vg/region_descriptions_test.json",
        [{"id": n, "regions": [region(n, 0, 0, 40, 40, "x"), region(n, 99, 0, 40, 40, "y")]} for n in range(130)],
    )
    data = load(TASKS["vg/crop"], tmp_path, blind=True)
    assert {query.cluster for query in data.queries} == {str(number) for number in range(100)}
    write(tmp_path / "vg/region_descriptions_test.json", [{"id": 1, "regions": [region(1, 0, 0, 40, 40, "x")]}])
    assert any("one region left" in note for note in load(TASKS["vg/crop"], tmp_path, blind=True).notes)


def test_vg_crop_end_to_end(tmp_path: Path) -> None:
    (result,) = evaluate(Thumbnails(), tasks=["vg/crop"], data=visual_genome(tmp_path), cache=False).results
    assert (result.n, result.clusters) == (9, 3)
    assert result.controls["constant"] == pytest.approx(result.chance) == pytest.approx(1 / 3)
    assert result.controls["oracle"] == 1


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": 1}], "record 0: 'regions' is missing"),
        ([{"id": 1, "regions": [{"x": 3}]}], "record 0: .* is missing or of another kind"),
        ([{"id": 1, "regions": [region(1, 0, 0, 40, 40, "x"), region(2, 0, 0, 40, 40, "x")]}], "of several pictures"),
        ([{"id": 1, "regions": [region(1, 500, 0, 40, 40, "x")]}], "record 0: the box .* lies outside its picture"),
        (
            [{"id": 2, "regions": [region(2, 0, 0, 40, 40, "x")]}],
            "vg/VG_100K/2.jpg, which is not there; .* fetch vg/crop",
        ),
        ({"id": 1}, "no JSON array"),
    ],
)
def test_bad_vg_records(tmp_path: Path, records: Any, message: str) -> None:
    photo(tmp_path / "vg/images/1.jpg", 1)
    write(tmp_path / "vg/region_descriptions_test.json", records)
    with pytest.raises(UserError, match=message):
        load(TASKS["vg/crop"], tmp_path)


# Held-out questions

HELD_OUT = [number for number in range(3000) if is_held_out(str(number), 100)]


def asked(image: int, question: str, answer: str) -> dict[str, Any]:
    return {"image_id": image, "question": question, "answer": answer}


def visual_questions(root: Path, num_images: int = 12) -> Path:
    """A colour and a number for each held-out picture, and a question on one that is not held out."""
    records = []
    for number, image in enumerate(HELD_OUT[:num_images]):
        photo(root / f"vg/images/{image}.jpg", image)
        what, how = asked(image, "What is it?", f"Thing {number}."), asked(image, "How many?", f"{number % 3}.")
        records.append({"id": image, "qas": [what, how]})
    other = next(number for number in range(3000) if number not in HELD_OUT)
    records.append({"id": other, "qas": [asked(other, "What is it?", "Something seen in training.")]})
    write(root / "vg/question_answers.json", records)
    return root


def test_held_out_share() -> None:
    assert len(HELD_OUT) == pytest.approx(30, abs=15)
    assert all(is_held_out(str(number), 1) for number in range(50))


def test_vg_vqa(tmp_path: Path) -> None:
    data = load(TASKS["vg/vqa"], visual_questions(tmp_path))
    assert len(data.queries) == 24
    check_controls(TASKS["vg/vqa"], data)
    texts = {key: candidate.inputs[0].text for key, candidate in data.candidates.items()}
    assert "Something seen in training" not in texts.values()
    for query in data.queries:
        pool = {texts[key] for key in query.candidates or ()}
        (answer,) = (texts[key] for key in query.relevance)
        assert answer in pool
        if query.input.text == "What is it?":
            assert len(pool) == 10
            assert all(text.startswith("Thing ") for text in pool)
        else:
            assert pool == {"0", "1", "2"}
        assert query.tags == {"question word": query.input.text.split()[0].lower()}
    assert any(note.startswith("ours: ") for note in data.notes)


def test_vg_vqa_draws(tmp_path: Path) -> None:
    """They follow from the seed and the answers of the set, not from the limit."""
    root = visual_questions(tmp_path)
    whole = load(TASKS["vg/vqa"], root)
    first = load(TASKS["vg/vqa"], root, limit=4)
    assert list(first.queries) == [query for query in whole.queries if query.cluster in {str(n) for n in HELD_OUT[:4]}]
    assert load(TASKS["vg/vqa"], root).data_hash == whole.data_hash
    assert load(TASKS["vg/vqa"], root, seed=1).data_hash != whole.data_hash


def test_other_answers_to_the_same_question_are_no_distractors(tmp_path: Path) -> None:
    root = visual_questions(tmp_path)
    path = root / "vg/question_answers.json"
    records = json.loads(path.read_text())
    records[0]["qas"].append(asked(HELD_OUT[0], "What is it?", "thing 5."))
    records[1]["qas"].append(asked(HELD_OUT[1], "Why so?", "Because."))
    write(path, records)
    data = load(TASKS["vg/vqa"], root)
    (query,) = (query for query in data.queries if query.key == f"{HELD_OUT[0]}/What is it?")
    assert not {"answer/Thing 5", "answer/thing 5"} & set(query.candidates or ())
    (skip,) = data.skipped
    assert skip.item == f"{HELD_OUT[1]}/Why so?"


def cc3m_questions(root: Path) -> Path:
    names = [name for name in (f"val/{number}.jpg" for number in range(3000)) if is_held_out(name, 100)][:5]
    for number, name in enumerate(names):
        photo(root / "cc3m" / name, number)
    rows = [(name, "What is it?", f"thing {number}") for number, name in enumerate(names)]
    return _csv(
        root / "cc3m/vqa.csv", ("path", "question", "answer"), [*rows, ("val/x.jpg", "What?", "gone")]
    ).parent.parent


def _csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def test_cc3m_vqa(tmp_path: Path) -> None:
    assert not is_held_out("val/x.jpg", 100)
    data = load(TASKS["cc3m/vqa"], cc3m_questions(tmp_path))
    assert len(data.queries) == 5
    assert check_controls(TASKS["cc3m/vqa"], data) == pytest.approx(1 / 5)
    _csv(tmp_path / "cc3m/vqa.csv", ("path", "caption"), [("a", "b")])
    with pytest.raises(UserError, match="no column question, answer"):
        load(TASKS["cc3m/vqa"], tmp_path)


# The paper's TGIT rows


def cc3m(root: Path, indices: Any = (3, 0, 2), rows: int = 5) -> Path:
    for number in range(rows):
        photo(root / f"cc3m/val/{number}.jpg", number)
    _csv(root / "cc3m/val.csv", ("path", "caption"), [(f"val/{number}.jpg", "x, y") for number in range(rows)])
    write(root / "cc3m_val_tgit_indices.json", list(indices))
    return root


@pytest.mark.parametrize("family", FAMILIES)
def test_tgit_cc3m_is_the_papers_draw_over_the_rows(tmp_path: Path, family: str) -> None:
    """The same as tgit-paper on a folder that holds these pictures in the order of the list."""
    root = cc3m(tmp_path / "data")
    for place, number in enumerate((3, 0, 2)):
        photo(tmp_path / f"folder/{place}.png", number)
    spec = small(f"tgit-cc3m/{family}")
    data = load(spec, root)
    wanted = load_task(TASKS[f"tgit-paper/{family}"], TaskContext(f"folder:{tmp_path / 'folder'}"))
    assert [query.input for query in data.queries] == [query.input for query in wanted.queries]
    assert [[item.content for item in data.pool(query)] for query in data.queries] == [
        [item.content for item in wanted.pool(query)] for query in wanted.queries
    ]
    assert [query.cluster for query in data.queries] == ["val/3.jpg", "val/0.jpg", "val/2.jpg"]
    constant_and_oracle = load(spec, root, limit=2)
    assert constant_and_oracle.queries == data.queries[:2]  # the limit changes no draw


@pytest.mark.parametrize("family", ["crop", "rotate", "jitter", "colorize"])
def test_tgit_cc3m_controls(tmp_path: Path, family: str) -> None:
    check_controls(small(f"tgit-cc3m/{family}"), load(small(f"tgit-cc3m/{family}"), cc3m(tmp_path)))


def test_tgit_cc3m_published_rows(shared: Path, tmp_path: Path) -> None:
    indices = json.loads((shared / "data/cc3m_val_tgit_indices.json").read_text())
    root = tmp_path / "data"
    write(root / "cc3m_val_tgit_indices.json", indices)
    rows = [(f"val/{number}.jpg", "x") for number in range(13442)]
    _csv(root / "cc3m/val.csv", ("path", "caption"), rows)
    data = load(TASKS["tgit-cc3m/crop"], root, blind=True)
    assert [query.cluster for query in data.queries] == [f"val/{index}.jpg" for index in indices]
    assert check_controls(small("tgit-cc3m/crop"), data) == pytest.approx(1 / 9)
    _csv(root / "cc3m/val.csv", ("path", "caption"), rows[:-1])
    with pytest.raises(UserError, match="has 13441 rows, and the paper's list names row 13441: it is not the authors'"):
        load(TASKS["tgit-cc3m/crop"], root, blind=True)


@pytest.mark.parametrize("indices", [{"a": 1}, [], [1, 1], [-1], [1.5], [True], ["1"]])
def test_bad_index_lists(tmp_path: Path, indices: Any) -> None:
    cc3m(tmp_path)
    write(tmp_path / "cc3m_val_tgit_indices.json", indices)
    with pytest.raises(UserError, match="not a list of different row numbers"):
        load(small("tgit-cc3m/crop"), tmp_path)


def test_bad_cc3m_files(tmp_path: Path) -> None:
    spec = small("tgit-cc3m/crop")
    root = cc3m(tmp_path)
    with pytest.raises(UserError, match="3 rows where the publisher's files have 1000"):
        load(TASKS["tgit-cc3m/crop"], root)
    (root / "cc3m/val/0.jpg").unlink()
    with pytest.raises(UserError, match=r"cc3m/val/0.jpg, which is not there; put the pictures that val.csv names"):
        load(spec, root)
    _csv(root / "cc3m/val.csv", ("path", "caption"), [("../../secret.jpg", "x")] * 5)
    with pytest.raises(UserError, match="leads out of"):
        load(spec, root)
    _csv(root / "cc3m/val.csv", ("file", "text"), [("a", "x")] * 5)
    with pytest.raises(UserError, match="no column path, caption"):
        load(spec, root)
    (root / "cc3m/val.csv").unlink()
    with pytest.raises(UserError, match="the authors' own file"):
        load(spec, root)
