"""MMEB: the publisher's rows become questions whose answer is named by key, with its prompts or with the paper's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import controls
from benchmarks.metrics import METRICS
from benchmarks.tasks import TASKS, load_task
from benchmarks.tasks.mmeb import HATEFUL, MARKER, PROMPTS, REPO, ROWS, asked, without_marker
from benchmarks.types import Candidate, Prediction, TaskContext, TaskData
from fuselip.core.errors import UserError
from fuselip.core.types import Input
from tests.benchmarks.pictures import draw

CLASSIFY = f"{MARKER}\nRepresent the given image for classification"
QUESTION = f"{MARKER}\nRepresent the given image with the following question: "
SHOWN = f"{MARKER}\nRepresent the given image."

Row = tuple[str, str, Any, Any]


def write(root: Path, task: str, rows: list[Row], pictures: int = 4, name: str = "test-00000-of-00001") -> None:
    """A task's parquet file and its pictures, as the publisher has them."""
    home = root / "mmeb" / task
    home.mkdir(parents=True, exist_ok=True)
    columns = zip(*rows, strict=True)
    table = dict(zip(("qry_text", "qry_img_path", "tgt_text", "tgt_img_path"), map(list, columns), strict=True))
    pq.write_table(pa.table(table), home / f"{name}.parquet")
    if pictures:
        draw(root / "mmeb" / "images" / task, pictures, side=24)


def load(root: Path, name: str, **options: Any) -> TaskData:
    return load_task(TASKS[name], TaskContext(data=root, offline=True, **options))


def score(rows: list[Prediction]) -> tuple[float, float]:
    """hit@1 and its chance."""
    units = METRICS["hit@1"].units(rows)
    return sum(unit.value for unit in units) / len(units), sum(unit.chance for unit in units) / len(units)


def words(data: TaskData) -> set[str]:
    return {candidate.inputs[0].text for candidate in data.candidates.values()}


def answer(data: TaskData, index: int) -> Candidate:
    [key] = data.queries[index].relevance
    return data.candidates[key]


NAMES = ["tench, Tinca tinca", "crane", "crane, a machine", "kite, bird of prey"]


def imagenet_rows(task: str = "ImageNet-1K") -> list[Row]:
    return [
        (CLASSIFY, f"{task}/picture{index}.png", [name, *(other for other in NAMES if other != name)], [""] * 4)
        for index, name in enumerate(NAMES)
    ]


def test_table_has_the_publishers_groups() -> None:
    assert len(ROWS) == 2 * 37
    for variant in ("mmeb", "mmeb-paper"):
        rows = [row for row in ROWS if row.name.startswith(f"{variant}/")]
        assert Counter(row.params["group"] for row in rows) == {
            "classification": 11,
            "vqa": 10,
            "retrieval": 12,
            "grounding": 4,
        }
        assert Counter(row.params["domain"] for row in rows) == {"IND": 20, "OOD": 16, "": 1}
        assert all(row.metric == "hit@1" and row.unverified and TASKS[row.name] is row for row in rows)


def test_leaderboard_keeps_the_text_and_names_answers_by_key(tmp_path: Path) -> None:
    write(tmp_path, "ImageNet-1K", imagenet_rows())
    data = load(tmp_path, "mmeb/ImageNet-1K")
    assert words(data) == set(NAMES)
    for index, name in enumerate(NAMES):
        assert data.queries[index].input.text == "Represent the given image for classification"
        assert data.queries[index].input.image is not None
        assert answer(data, index).inputs == (Input(name),)
        assert len(data.queries[index].candidates or ()) == 4
    assert score(controls.constant(data)) == pytest.approx((1 / 4, 1 / 4))
    assert score(controls.oracle(data))[0] == 1


def test_place_in_the_list_means_nothing(tmp_path: Path) -> None:
    write(tmp_path, "ImageNet-1K", imagenet_rows())
    before = load(tmp_path, "mmeb/ImageNet-1K")
    turned = [(text, image, [right, *others[::-1]], blank) for text, image, (right, *others), blank in imagenet_rows()]
    write(tmp_path, "ImageNet-1K", turned)
    assert load(tmp_path, "mmeb/ImageNet-1K").data_hash == before.data_hash


def test_paper_cuts_names_and_tells_of_those_become_alike(tmp_path: Path) -> None:
    write(tmp_path, "ImageNet-1K", imagenet_rows())
    data = load(tmp_path, "mmeb-paper/ImageNet-1K")
    assert words(data) == {"a photo of a tench", "a photo of a crane", "a photo of a kite"}
    assert len(data.candidates) == 4
    assert all(query.input.text == "" for query in data.queries)
    assert any("1 candidates become copies" in note for note in data.notes)
    oracle = {row.query: METRICS["hit@1"].units([row])[0].value for row in controls.oracle(data)}
    assert sorted(oracle.values()) == [0.5, 0.5, 1, 1]  # the two cranes cannot be told apart
    assert score(controls.constant(data)) == pytest.approx((1 / 4, 1 / 4))


@pytest.mark.parametrize(
    ("task", "right"), [("N24News", "a photo from the domain of Art"), ("Country211", "this is in the country of Art")]
)
def test_paper_prefixes(tmp_path: Path, task: str, right: str) -> None:
    write(tmp_path, task, [(CLASSIFY, f"{task}/picture0.png", ["Art", "Sports, news"], ["", ""])])
    data = load(tmp_path, f"mmeb-paper/{task}")
    assert answer(data, 0).inputs == (Input(right),)
    assert any(text.endswith("Sports, news") for text in words(data))  # only ImageNet's names are cut


def test_hateful_memes_keeps_its_question(tmp_path: Path) -> None:
    prompt = f"{MARKER}\n{HATEFUL}"
    write(tmp_path, "HatefulMemes", [(prompt, "HatefulMemes/picture0.png", ["No", "Yes"], ["", ""])])
    data = load(tmp_path, "mmeb-paper/HatefulMemes")
    assert data.queries[0].input.text == "Is this image hateful?"
    assert words(data) == {"Yes", "No"}


def test_questions_and_copies(tmp_path: Path) -> None:
    rows = [(f"{QUESTION}What color?\n", "GQA/picture0.png", ["red", "blue", "blue", "red"], [""] * 4)]
    write(tmp_path, "GQA", rows)
    assert load(tmp_path, "mmeb/GQA").queries[0].input.text.endswith("following question: What color?")
    data = load(tmp_path, "mmeb-paper/GQA")
    assert data.queries[0].input.text == "What color?"
    assert data.queries[0].cluster == "GQA/picture0.png"
    assert len(data.queries[0].candidates or ()) == 2
    assert "2 copies among the candidates of a question are left out" in data.notes
    assert score(controls.constant(data)) == pytest.approx((1 / 2, 1 / 2))


def test_pictures_on_both_sides(tmp_path: Path) -> None:
    """Retrieval: image+text queries, text queries, image candidates, image+text candidates."""
    paths = [f"OVEN/picture{index}.png" for index in range(3)]
    told = f"{MARKER}\nRepresent the given Wikipedia image with related text information: "
    rows = [
        (
            f"{MARKER}\nGiven an image, find a similar everyday image with the described changes: dusk",
            paths[0],
            SHOWN,
            paths,
        ),
        ("Find me an everyday image that matches the given caption: a fish.", "", SHOWN, paths[::-1]),
        (f"{QUESTION}who?", paths[1], [f"{told}A bird.", f"{told}A plane."], paths[1:]),
    ]
    full = [
        (text, image, [target] * 3 if isinstance(target, str) else target, names) for text, image, target, names in rows
    ]
    write(tmp_path, "OVEN", full)
    data = load(tmp_path, "mmeb-paper/OVEN")
    assert [query.input.modality for query in data.queries] == ["image+text", "text", "image+text"]
    assert [query.input.text for query in data.queries] == ["dusk", "a fish.", "who?"]
    assert [answer(data, index).inputs[0].modality for index in range(3)] == ["image", "image", "image+text"]
    assert data.queries[1].cluster == paths[2]
    assert answer(data, 2).inputs[0].text == "A bird."
    board = load(tmp_path, "mmeb/OVEN")
    assert answer(board, 0).inputs[0].text == "Represent the given image."
    for each in (data, board):
        assert score(controls.constant(each)) == pytest.approx(((1 / 3 + 1 / 3 + 1 / 2) / 3,) * 2)
        assert score(controls.oracle(each))[0] == 1


def test_empty_ones_are_counted(tmp_path: Path) -> None:
    rows = [
        ("a question?", "", ["yes", "", "no"], ["", "", ""]),
        ("a question?", "", ["", "no"], ["", ""]),
        (MARKER, "", ["yes", "no"], ["", ""]),
    ]
    write(tmp_path, "GQA", rows, pictures=0)
    data = load(tmp_path, "mmeb/GQA")
    assert [len(query.candidates or ()) for query in data.queries] == [2]
    assert [skip.item for skip in data.skipped] == ["test-00000-of-00001.parquet/1", "test-00000-of-00001.parquet/2"]
    write(tmp_path, "GQA", rows[1:], pictures=0)
    with pytest.raises(UserError, match="there is no question"):
        load(tmp_path, "mmeb/GQA")


def test_limit_and_several_files(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path, "VizWiz", imagenet_rows("VizWiz"), name=f"test-0000{part}-of-00003")
    assert len(load(tmp_path, "mmeb/VizWiz").queries) == 12
    few = load(tmp_path, "mmeb/VizWiz", limit=5)
    assert [len(query.candidates or ()) for query in few.queries] == [4] * 5


def test_blind_needs_no_pictures_and_asks_the_same(tmp_path: Path) -> None:
    write(tmp_path, "ImageNet-A", imagenet_rows("ImageNet-A"), pictures=0)
    with pytest.raises(UserError, match=r"images/ImageNet-A/picture0\.png.*fetch mmeb/ImageNet-A"):
        load(tmp_path, "mmeb/ImageNet-A")
    blind = load(tmp_path, "mmeb/ImageNet-A", blind=True)
    draw(tmp_path / "mmeb/images/ImageNet-A", 4, side=24)
    seen = load(tmp_path, "mmeb/ImageNet-A")
    assert [replace(q, input=Input("-")) for q in blind.queries] == [replace(q, input=Input("-")) for q in seen.queries]
    assert blind.candidates == seen.candidates


def test_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub's client has got before is found by it without a network; without, the message tells what to do."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    context = TaskContext(data=tmp_path / "data")
    with pytest.raises(UserError, match=rf"GQA of {REPO} is neither under .* nor to be had from the hub .*hf download"):
        load_task(TASKS["mmeb/GQA"], context)
    write(tmp_path / "made", "GQA", [("a question?", "", ["yes", "no"], ["", ""])], pictures=0)
    cache = tmp_path / "hub" / f"datasets--{REPO.replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    (cache / "snapshots").mkdir()
    (tmp_path / "made" / "mmeb").rename(cache / "snapshots" / ("0" * 40))
    assert len(load_task(TASKS["mmeb/GQA"], context).queries) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((CLASSIFY, "../../secret.png", ["a", "b"], ["", ""]), r"leads out of .* by '\.\.'"),
        ((CLASSIFY, "/etc/passwd", ["a", "b"], ["", ""]), r"images/etc/passwd, which is not there"),
        ((CLASSIFY, "", ["a", "b"], ["", "", ""]), r"row 0: 2 texts and 3 picture names"),
        ((CLASSIFY, "", [], []), r"row 0: 0 texts"),
        ((CLASSIFY, "", ["a", "b"], ["", "gone.png"]), r"gone\.png, which is not there"),
        ((3, "", ["a", "b"], ["", ""]), "row 0: texts and picture names must be strings"),
    ],
)
def test_bad_rows(tmp_path: Path, row: Any, message: str) -> None:
    write(tmp_path, "GQA", [row])
    with pytest.raises(UserError, match=message):
        load(tmp_path, "mmeb/GQA")


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mmeb/GQA needs .*mmeb/GQA, which is not there; `hf download TIGER-Lab"):
        load(tmp_path, "mmeb/GQA")
    write(tmp_path, "GQA", imagenet_rows("GQA"))
    [file] = (tmp_path / "mmeb/GQA").iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="no parquet file we can read"):
        load(tmp_path, "mmeb/GQA")
    pq.write_table(pa.table({"qry_text": ["a"]}), file)
    with pytest.raises(UserError, match="has no column 'qry_img_path'"):
        load(tmp_path, "mmeb/GQA")
    file.unlink()
    with pytest.raises(UserError, match=r"holds no \.parquet files"):
        load(tmp_path, "mmeb/GQA")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_prompt_is_emptied(prompt: str) -> None:
    for before in (f"{MARKER}\n", f"{MARKER} ", ""):
        assert asked(f"{before}{prompt}\n", "") == ""
        assert asked(f"{before}{prompt} A red car, left.\n", "MSCOCO") == "A red car, left."


@given(st.text())
def test_texts_without_a_prompt_stay(text: str) -> None:
    plain = without_marker(text)
    assert MARKER not in without_marker(f"{MARKER}\n{text}") or MARKER in text.replace(MARKER, "")
    if not any(plain.startswith(prompt) for prompt in (*PROMPTS, HATEFUL)):
        assert asked(text, "") == plain
