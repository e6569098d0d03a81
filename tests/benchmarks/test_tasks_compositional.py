"""SugarCrepe, SugarCrepe++, ARO and Winoground: on the published annotations, and on small copies with pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks import controls
from benchmarks.evaluation import evaluate
from benchmarks.metrics import METRICS
from benchmarks.results import mean
from benchmarks.score import rank
from benchmarks.tasks import TASKS, load_task
from benchmarks.tasks.sugarcrepe import SUBSETS
from benchmarks.types import TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UserError
from tests.benchmarks.local_sets import check_controls, photo, write
from tests.benchmarks.pictures import Thumbnails

PP = [subset for subset in SUBSETS if not subset.startswith("add")]
SAME = {"replace_att": 1, "swap_obj": 2}
"""Published SugarCrepe++ entries of which two captions are the same text."""


def small(name: str) -> TaskSpec:
    return replace(TASKS[name], counts={})


def load(spec: TaskSpec, root: Path, **options: Any) -> TaskData:
    return load_task(spec, TaskContext(data=root, **options))


def scores(spec: TaskSpec, data: TaskData, found: dict[str, Sequence[float]]) -> dict[str, float]:
    """All the task's metrics for an encoder that gives each text, or picture by its query's key, the vector named."""
    contents = {candidate.content: candidate for candidate in data.candidates.values()}
    queries = np.array([found[query.input.text or query.key] for query in data.queries])
    candidates = np.array([found[candidate.inputs[0].text] for candidate in contents.values()])
    predictions = rank(data.queries, data, queries, list(contents), candidates)
    return {name: mean(METRICS[name], predictions) for name in (spec.metric, *spec.also)}


# SugarCrepe


@pytest.mark.parametrize("subset", SUBSETS)
def test_published_sugarcrepe(shared: Path, subset: str) -> None:
    spec = TASKS[f"sugarcrepe/{subset}"]
    data = load(spec, shared / "data", blind=True)
    counts = {"add_att": 692, "add_obj": 2062, "replace_att": 788, "replace_obj": 1652}
    counts |= {"replace_rel": 1406, "swap_att": 666, "swap_obj": 245}
    assert len(data.queries) == counts[subset]
    assert not data.skipped
    assert check_controls(spec, data) == pytest.approx(1 / 2)
    assert load(spec, shared / "data/sugarcrepe", blind=True).data_hash == data.data_hash


def test_known_shortcuts_are_tagged(shared: Path) -> None:
    """Whoever takes the shorter caption, or either of two as long, is right in 99.6% and 99.0% of add_*."""
    worth = {"shorter": 1, "as long": 1 / 2, "longer": 0}
    for subset, share in (("add_att", 0.996), ("add_obj", 0.990)):
        data = load(TASKS[f"sugarcrepe/{subset}"], shared / "data", blind=True)
        found = np.mean([worth[str(query.tags["right caption is"])] for query in data.queries])
        assert found == pytest.approx(share, abs=5e-4)
    data = load(TASKS["sugarcrepe/swap_obj"], shared / "data", blind=True)
    assert np.mean([query.tags["same words"] for query in data.queries]) > 0.6


@pytest.mark.parametrize("subset", PP)
def test_published_sugarcrepe_pp(shared: Path, subset: str) -> None:
    entries = SUBSETS[subset][0]
    itt, tot = TASKS[f"sugarcrepe-pp/{subset}"], TASKS[f"sugarcrepe-pp-tot/{subset}"]
    data = load(itt, shared / "data", blind=True)
    assert len(data.queries) == entries - SAME.get(subset, 0)
    assert [skip.reason for skip in data.skipped] == ["two of its captions are the same text"] * SAME.get(subset, 0)
    assert check_controls(itt, data) == pytest.approx(1 / 3)
    texts = load(tot, shared / "data")  # needs no picture at all
    assert len(texts.queries) == 2 * len(data.queries)
    assert len({query.group for query in texts.queries}) == len(data.queries)
    assert check_controls(tot, texts) == pytest.approx(1 / 3)


def entry(**changes: Any) -> dict[str, Any]:
    texts = {"caption": "a cat on a mat", "caption2": "on a mat, a cat", "negative_caption": "a mat on a cat"}
    return {"filename": "000000000001.jpg", **texts, **changes}


def sugarcrepe(root: Path, entries: Sequence[dict[str, Any]]) -> Path:
    for number in (1, 2):
        photo(root / f"coco/val2017/00000000000{number}.jpg", number)
    write(root / "sugarcrepe/swap_obj.json", {str(2 * number): row for number, row in enumerate(entries)})
    write(root / "sugarcrepe_pp/swap_obj.json", [{"id": 2 * number, **row} for number, row in enumerate(entries)])
    return root


def test_sugarcrepe_by_hand(tmp_path: Path) -> None:
    """Keys are the publisher's ids, which have gaps; the picture is the file named."""
    root = sugarcrepe(tmp_path, [entry(), entry(filename="000000000002.jpg")])
    data = load(small("sugarcrepe/swap_obj"), root)
    assert [query.key for query in data.queries] == ["0", "2"]
    assert [query.cluster for query in data.queries] == ["000000000001.jpg", "000000000002.jpg"]
    image = data.queries[1].input.image
    assert image is not None
    assert np.array_equal(image.load(), Image.open(root / "coco/val2017/000000000002.jpg"))
    assert data.queries[0].relevance == {"0/caption": 1.0}
    assert data.queries[0].tags == {"right caption is": "as long", "same words": True}
    check_controls(small("sugarcrepe/swap_obj"), data)
    assert [query.key for query in load(small("sugarcrepe/swap_obj"), root, limit=1).queries] == ["0"]


@pytest.mark.parametrize(
    ("angles", "itt", "tot"),
    [
        # Degrees of caption, caption2 and the negative, the picture being at 0. In the first, the other caption and the
        # negative are 30 degrees from the caption: a tie is worth its expectation, and strictly nothing.
        ((10, -20, 40), 1, 1 / 2),
        ((10, -15, 45), 1, 1),
        ((10, -50, 40), 0, 0),
        ((50, 40, 20), 0, 1),
        ((10, 45, 60), 1, 0),
    ],
)
def test_sugarcrepe_pp_scores_by_hand(tmp_path: Path, angles: tuple[int, int, int], itt: int, tot: float) -> None:
    root = sugarcrepe(tmp_path, [entry()])
    texts = (entry()["caption"], entry()["caption2"], entry()["negative_caption"])
    at = {"0": 0, **dict(zip(texts, angles, strict=True))}
    found = {name: (np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))) for name, angle in at.items()}
    itt_spec, tot_spec = small("sugarcrepe-pp/swap_obj"), small("sugarcrepe-pp-tot/swap_obj")
    got = scores(itt_spec, load(itt_spec, root), found)
    assert got["itt"] == got["strict_itt"] == itt
    got = scores(tot_spec, load(tot_spec, root), found)
    assert (got["tot"], got["strict_tot"]) == (pytest.approx(tot), int(tot))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"caption": 3}, "swap_obj.json, entry 2: 'caption' is missing or of another kind"),
        ({"negative_caption": None}, "entry 2: 'negative_caption' is missing"),
        ({"filename": "../../../secret.jpg"}, "leads out of"),
        ({"filename": "000000000009.jpg"}, r"000000000009.jpg, which is not there; `fuselip-bench fetch sugarcrepe"),
    ],
)
@pytest.mark.parametrize("name", ["sugarcrepe/swap_obj", "sugarcrepe-pp/swap_obj"])
def test_bad_sugarcrepe_entries(tmp_path: Path, name: str, changes: dict[str, Any], message: str) -> None:
    root = sugarcrepe(tmp_path, [entry(), entry(**changes)])
    with pytest.raises(UserError, match=message):
        load(small(name), root)


def test_entries_that_ask_nothing_are_skipped(tmp_path: Path) -> None:
    same = entry(negative_caption=entry()["caption"])
    root = sugarcrepe(tmp_path, [entry(), same, entry(caption=" ")])
    for name in ("sugarcrepe/swap_obj", "sugarcrepe-pp/swap_obj", "sugarcrepe-pp-tot/swap_obj"):
        data = load(small(name), root)
        assert [(skip.item, skip.reason) for skip in data.skipped] == [
            ("2", "two of its captions are the same text"),
            ("4", "a caption is empty"),
        ]
        assert len(data.queries) == (2 if "tot" in name else 1)


def test_missing_and_broken_sugarcrepe_files(tmp_path: Path) -> None:
    spec = TASKS["sugarcrepe/swap_obj"]
    with pytest.raises(
        UserError, match=r"`fuselip-bench fetch sugarcrepe/swap_obj` gets it from https://raw.*swap_obj"
    ):
        load(spec, tmp_path)
    sugarcrepe(tmp_path, [entry()])
    with pytest.raises(UserError, match="1 entries where the publisher's files have 245"):
        load(spec, tmp_path)
    (tmp_path / "sugarcrepe/swap_obj.json").write_text("{")
    with pytest.raises(UserError, match="not readable JSON"):
        load(spec, tmp_path)
    (tmp_path / "sugarcrepe/swap_obj.json").write_text("3")
    with pytest.raises(UserError, match=r"swap_obj.json: entries by their number, or a list"):
        load(spec, tmp_path)


# ARO


def relation(number: int, **changes: Any) -> dict[str, Any]:
    box = {"bbox_x": 10, "bbox_y": 20, "bbox_w": 50, "bbox_h": 30}
    texts = {"true_caption": f"the cat is on mat {number}", "false_caption": f"the mat {number} is on the cat"}
    kinds = {"relation_name": "on", "attributes": ["white", "old"]}
    return {"image_path": f"{number % 3}.jpg", **box, **texts, **kinds, **changes}


def aro(root: Path, rows: Sequence[dict[str, Any]]) -> Path:
    for number in range(3):
        photo(root / f"aro/images/{number}.jpg", number)
    for name in ("relation", "attribution"):
        write(root / f"aro/visual_genome_{name}.json", list(rows))
    return root


@pytest.mark.parametrize(
    ("name", "tag", "value"), [("relation", "relation", "on"), ("attribution", "attributes", "white_old")]
)
def test_aro_pairs_by_hand(tmp_path: Path, name: str, tag: str, value: str) -> None:
    common = [relation(number) for number in range(25)]
    rare = relation(30, relation_name="under", attributes=["wet", "red"], bbox_w=500)
    data = load(TASKS[f"aro/vg-{name}"], aro(tmp_path, [*common, rare]))
    check_controls(TASKS[f"aro/vg-{name}"], data)
    assert [query.tags for query in data.queries] == [{tag: value}] * 25 + [{tag: "(rarer)"}]
    query = data.queries[4]
    assert (query.key, query.cluster, query.relevance) == ("4", "1.jpg", {"4/caption": 1.0})
    whole = np.asarray(Image.open(tmp_path / "aro/images/1.jpg"))
    assert query.input.image is not None
    assert np.array_equal(query.input.image.load(), whole[20:50, 10:60])
    assert data.candidates["4/caption"].inputs[0].text == "the cat is on mat 4"
    assert data.notes == ("boxes that reach past their picture are cut at its edge (1), not padded with black",)
    assert {query.cluster for query in load(TASKS[f"aro/vg-{name}"], tmp_path, limit=2).queries} == {"0.jpg", "1.jpg"}


def test_aro_end_to_end(tmp_path: Path) -> None:
    aro(tmp_path, [relation(n, relation_name="on" if n % 2 else "under") for n in range(60)])
    (result,) = evaluate(Thumbnails(), tasks=["aro/vg-relation"], data=tmp_path, cache=False).results
    assert (result.n, result.clusters, result.chance) == (60, 3, 0.5)
    assert [(point["value"], point["n"]) for point in result.skills["relation"]] == [("on", 30), ("under", 30)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox_w": 0}, "entry 0: the box .* holds no pixel"),
        ({"bbox_x": 400}, "entry 0: the box .* lies outside its picture of 100x80"),
        ({"bbox_h": "3"}, "entry 0: 'bbox_h' is missing"),
        ({"true_caption": 1}, "entry 0: 'true_caption' is missing"),
        ({"relation_name": None, "attributes": ["one"]}, "entry 0: 'relation_name' is missing|two attributes"),
        ({"image_path": "/etc/passwd"}, "leads out of|is not there"),
        ({"image_path": "7.jpg"}, "7.jpg, which is not there; the code at .* downloads vgr_vga_images.zip"),
    ],
)
@pytest.mark.parametrize("name", ["relation", "attribution"])
def test_bad_aro_entries(tmp_path: Path, name: str, changes: dict[str, Any], message: str) -> None:
    aro(tmp_path, [relation(0, **changes)])
    with pytest.raises(UserError, match=message):
        load(TASKS[f"aro/vg-{name}"], tmp_path)


def test_aro_skips_and_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"visual_genome_relation\.json, which is not there; the code at github.com"):
        load(TASKS["aro/vg-relation"], tmp_path)
    aro(tmp_path, [relation(0), relation(1, false_caption="the cat is on mat 1"), relation(2, true_caption=" ")])
    data = load(TASKS["aro/vg-relation"], tmp_path)
    assert [query.key for query in data.queries] == ["0"]
    assert [skip.item for skip in data.skipped] == ["1", "2"]
    write(tmp_path / "aro/visual_genome_relation.json", {"0": relation(0)})
    with pytest.raises(UserError, match=r"a list of entries is needed here, not dict"):
        load(TASKS["aro/vg-relation"], tmp_path)


@pytest.mark.parametrize(("name", "folder"), [("coco", "coco/val2014"), ("flickr30k", "flickr30k/flickr30k-images")])
def test_aro_order(tmp_path: Path, name: str, folder: str) -> None:
    photo(tmp_path / folder / "1.jpg", 1)
    image = f"{folder.partition('/')[2]}/1.jpg"
    shuffles = ["cat a sits", "sits cat a", "a sits cat", "cat sits a"]
    rows = [
        {"image": image, "caption": "a cat sits", "negatives": shuffles},
        {"image": image, "caption": "a cat sits", "negatives": ["a cat sits", "sits a cat", "sits a cat"]},
        {"image": image, "caption": "cats", "negatives": ["cats"]},
    ]
    write(tmp_path / f"aro/{name}_order.json", rows)
    spec = TASKS[f"aro/{name}-order"]
    data = load(spec, tmp_path)
    assert [len(query.candidates or ()) for query in data.queries] == [5, 2]
    assert check_controls(spec, data) == pytest.approx((1 / 5 + 1 / 2) / 2)
    assert [(skip.item, skip.reason.endswith("to choose from")) for skip in data.skipped] == [("1", False), ("2", True)]
    write(tmp_path / f"aro/{name}_order.json", [{**rows[0], "negatives": [3]}])
    with pytest.raises(UserError, match="entry 0: 'negatives' is to be a list of texts"):
        load(spec, tmp_path)


# Winoground


def cell(number: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": f"{number}.png"}


def winoground(root: Path, count: int = 3, **changes: Any) -> Path:
    """Rows in two files; `changes` are made to the last one."""
    rows = [
        {
            "id": number,
            "image_0": cell(2 * number),
            "image_1": cell(2 * number + 1),
            "caption_0": f"dog {number} bites man",
            "caption_1": f"man bites dog {number}",
            "tag": "Noun",
            "collapsed_tag": ["Object", "Relation"][number % 2],
            "num_main_preds": 1 + number % 2,
        }
        for number in range(count)
    ]
    rows[-1] |= changes
    (root / "winoground").mkdir(parents=True, exist_ok=True)
    for number, part in enumerate((rows[:1], rows[1:])):
        pq.write_table(pa.Table.from_pylist(part), root / f"winoground/test-{number}.parquet")
    return root


def test_winoground_by_hand(tmp_path: Path) -> None:
    data = load(TASKS["winoground"], winoground(tmp_path))
    assert check_controls(TASKS["winoground"], data) == pytest.approx(1 / 6)
    assert [query.key for query in data.queries] == [f"{row}/image_{place}" for row in range(3) for place in range(2)]
    constant = controls.constant(data)
    assert [mean(METRICS[name], constant) for name in ("text_score", "image_score")] == [pytest.approx(1 / 4)] * 2
    query = data.queries[5]
    assert (query.group, query.relevance) == ("2", {"2/caption_1": 1.0})
    assert query.tags == {"tag": "Noun", "collapsed_tag": "Object", "num_main_preds": 1}
    assert query.input.image is not None
    assert np.array_equal(query.input.image.load(), Image.open(io.BytesIO(cell(5)["bytes"])))
    assert len(load(TASKS["winoground"], tmp_path, limit=2).queries) == 4
    blind = load(TASKS["winoground"], tmp_path, blind=True)
    assert [query.key for query in blind.queries] == [query.key for query in data.queries]
    (result,) = evaluate(Thumbnails(), tasks=["winoground"], data=tmp_path, cache=False).results
    assert set(result.metrics) == {"group_score", "text_score", "image_score", "strict_group_score"}
    assert result.n == 3


def test_winoground_scores_by_hand(tmp_path: Path) -> None:
    """Each picture nearest to its caption, but the second caption to the first picture: text yes, image no."""
    data = load(TASKS["winoground"], winoground(tmp_path, count=2), limit=1)
    found: dict[str, Sequence[float]] = {
        "0/image_0": (1.0, 0.0, 0.0),
        "0/image_1": (0.3, 0.4, (1 - 0.25) ** 0.5),
        "dog 0 bites man": (1.0, 0.0, 0.0),
        "man bites dog 0": (0.8, 0.6, 0.0),
    }
    got = scores(TASKS["winoground"], data, found)
    assert (got["text_score"], got["image_score"], got["group_score"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_1": {"bytes": None, "path": None}}, r"test-1.parquet, row 1: column image_1 is empty"),
        ({"image_1": {"bytes": b"", "path": "x"}}, r"test-1.parquet, row 1: the image in image_1 is empty"),
        ({"image_1": {"bytes": None, "path": "../../x.png"}}, r"test-1.parquet, row 1: .* leads out of"),
    ],
)
def test_bad_winoground_rows(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(TASKS["winoground"], winoground(tmp_path, **changes))


def test_bad_winoground_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"winoground, which is not there; accept the licence at huggingface.co"):
        load(TASKS["winoground"], tmp_path)
    (tmp_path / "winoground").mkdir()
    with pytest.raises(UserError, match=r"holds no .parquet files"):
        load(TASKS["winoground"], tmp_path)
    pq.write_table(pa.table({"caption_0": ["a"]}), tmp_path / "winoground/test.parquet")
    with pytest.raises(UserError, match="has no column 'image_0'"):
        load(TASKS["winoground"], tmp_path)
    (tmp_path / "winoground/test.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(UserError, match="no parquet file we can read"):
        load(TASKS["winoground"], tmp_path)
    (tmp_path / "winoground/test.parquet").unlink()
    skipped = load(TASKS["winoground"], winoground(tmp_path, caption_1="dog 2 bites man")).skipped
    assert [(skip.item, skip.reason) for skip in skipped] == [("2", "a caption is empty or both are the same")]
