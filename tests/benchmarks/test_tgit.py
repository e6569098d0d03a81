"""The TGIT tasks: every pool's pictures differ, every instruction is asked, questions depend on the data alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.tasks import TASKS, load_task, match, select
from benchmarks.tasks.tgit import JITTERS, MIN_DISTANCE
from benchmarks.types import TaskContext, TaskData
from datagen.transforms.families import FAMILIES
from fuselip.core.errors import UsageError, UserError
from tests.benchmarks.pictures import draw
from tests.datagen.synthetic import pixel_hash, synthetic

CHANCES = {"crop": 1 / 9, "rotate": 1 / 18, "jitter": 1 / 10, "flip": 1 / 3, "colorize": 1 / 2}
QUESTIONS = {"crop": 9, "rotate": 18, "jitter": 10, "flip": 4, "colorize": 2}


def load(family: str, source: str = "photos:quick", variant: str = "tgit", **options: int) -> TaskData:
    return load_task(TASKS[f"{variant}/{family}"], TaskContext(source, **options))


@pytest.fixture(scope="module")
def quick() -> dict[str, TaskData]:
    return {family: load(family) for family in FAMILIES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw(tmp_path / "pictures", 3)


def pixels(data: TaskData, key: str) -> np.ndarray:
    image = data.candidates[key].inputs[0].image
    assert image is not None
    return np.asarray(image.load(), np.int16)


def test_quick_suite_counts(quick: dict[str, TaskData]) -> None:
    queries = [query for data in quick.values() for query in data.queries]
    assert len(queries) == 5 * sum(QUESTIONS.values()) == 215
    inputs = [query.input for query in queries] + [
        each for data in quick.values() for candidate in data.candidates.values() for each in candidate.inputs
    ]
    assert len({each.image.key for each in inputs if each.image}) == 5 * 41 == 205
    assert len({query.cluster for query in queries}) == 5
    assert all(not data.skipped for data in quick.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_instruction_is_asked_and_has_one_answer(quick: dict[str, TaskData], family: str) -> None:
    data = quick[family]
    assert len({query.key for query in data.queries}) == len(data.queries) == 5 * QUESTIONS[family]
    for cluster in {query.cluster for query in data.queries}:
        texts = Counter(query.input.text for query in data.queries if query.cluster == cluster)
        if family == "jitter":
            assert len(texts) == JITTERS
        else:
            assert texts == Counter(edit.text for edit in FAMILIES[family].edits)
    for query in data.queries:
        pool = data.pool(query)
        assert 1 / len(pool) == CHANCES[family]
        assert len({candidate.content for candidate in pool}) == len(pool)
        assert list(query.relevance.values()) == [1.0]
        assert set(query.relevance) < {candidate.key for candidate in pool}
        assert {candidate.key.split("/")[0] for candidate in pool} == {query.cluster}


@pytest.mark.parametrize("family", FAMILIES)
def test_candidates_of_a_pool_differ_visibly(quick: dict[str, TaskData], family: str) -> None:
    data = quick[family]
    for names in {query.candidates for query in data.queries}:
        assert names is not None
        images = [pixels(data, name) for name in names]
        assert min(np.abs(a - b).mean() for a, b in combinations(images, 2)) >= MIN_DISTANCE


def test_answer_is_the_picture_that_the_instruction_makes(quick: dict[str, TaskData]) -> None:
    """Made here with numpy alone, of the query's own picture."""
    by_hand = {
        "horizontal flip": lambda image: image[:, ::-1],
        "vertical flip": lambda image: image[::-1],
        "rotate 90 degrees clockwise": lambda image: np.rot90(image, -1),
        "rotate 90 degrees counter-clockwise": lambda image: np.rot90(image),
    }
    asked = 0
    for data in (quick["flip"], quick["rotate"]):
        for query in data.queries:
            if query.input.text in by_hand:
                assert query.input.image is not None
                wanted = by_hand[query.input.text](np.asarray(query.input.image.load(), np.int16))
                assert np.array_equal(pixels(data, next(iter(query.relevance))), wanted)
                asked += 1
    assert asked == 5 * (4 + 2)


def test_gray_photo_is_left_out_of_colorize_alone(folder: Path) -> None:
    synthetic().convert("L").save(folder / "gray.png")
    data = load("colorize", f"folder:{folder}")
    assert [(skip.item, skip.reason) for skip in data.skipped] == [("gray.png/colorize", "a gray photo")]
    assert len(data.queries) == 6
    assert len(load("crop", f"folder:{folder}").queries) == 4 * 9


def test_candidates_that_are_too_alike_are_left_out_and_reported(folder: Path) -> None:
    half = np.asarray(synthetic())[:, :160]
    Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1)).save(folder / "symmetric.png")
    data = load("flip", f"folder:{folder}")
    assert [(skip.item, skip.reason) for skip in data.skipped] == [
        ("symmetric.png/flip/base", "too like another candidate")
    ]
    asked = [query for query in data.queries if query.cluster == "symmetric.png"]
    assert {len(data.pool(query)) for query in asked} == {2}
    assert [query.key.rpartition("/")[2] for query in asked] == ["base-to-horizontal", "base-to-vertical"]
    assert len(data.queries) == 3 * 4 + 2


def test_picture_so_dark_that_few_jitters_differ(folder: Path) -> None:
    Image.fromarray(np.asarray(synthetic()) // 60).save(folder / "dark.png")
    data = load("jitter", f"folder:{folder}")
    asked = [query for query in data.queries if query.cluster == "dark.png"]
    (skip,) = data.skipped
    assert (skip.item, skip.reason) == ("dark.png/jitter", f"only {len(asked)} of 10 candidates differ")
    assert 2 <= len(asked) < 10


def test_one_colour_has_no_questions(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (0, 0, 0)).save(tmp_path / "black.png")
    for family in ("crop", "jitter", "flip"):
        data = load(family, f"folder:{tmp_path}")
        assert data.queries == ()
        assert [skip.reason for skip in data.skipped] == ["no two candidates differ"]


@pytest.mark.parametrize("variant", ["tgit", "tgit-paper"])
def test_damaged_image_is_skipped_with_a_reason(folder: Path, variant: str) -> None:
    whole = (folder / "picture1.png").read_bytes()
    (folder / "picture1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "page.jpg").write_text("<html>404</html>")
    data = load("flip", f"folder:{folder}", variant)
    assert {query.cluster for query in data.queries} == {"picture0.png", "picture2.png"}
    reasons = {skip.item: skip.reason for skip in data.skipped}
    assert set(reasons) == {"page.jpg", "picture1.png"}
    assert "damaged or cut short" in reasons["picture1.png"]
    assert "an HTML page" in reasons["page.jpg"]
    assert load("flip", f"folder:{folder}", variant, limit=2).data_hash == data.data_hash  # it does not count


@pytest.mark.parametrize("family", FAMILIES)
def test_data_hash_is_that_of_the_pictures(folder: Path, tmp_path: Path, family: str) -> None:
    """Not of the folder's place or the process; the seed matters where edits are drawn."""
    first = load(family, f"folder:{folder}").data_hash
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    code = (
        "import sys; from benchmarks.tasks import TASKS, load_task; from benchmarks.types import TaskContext\n"
        "print(load_task(TASKS[sys.argv[1]], TaskContext(sys.argv[2])).data_hash)"
    )
    command = [sys.executable, "-c", code, f"tgit/{family}", f"folder:{copy}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == first
    assert (load(family, f"folder:{folder}", seed=1).data_hash != first) is (family == "jitter")
    draw(copy, 1, side=64)
    assert load(family, f"folder:{copy}").data_hash != first


def test_jitters_of_a_picture_do_not_depend_on_the_others(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(folder / "picture2.png", tmp_path / "one")
    alone, among = load("jitter", f"folder:{tmp_path / 'one'}"), load("jitter", f"folder:{folder}")
    assert [q for q in among.queries if q.cluster == "picture2.png"] == list(alone.queries)


def test_limit_counts_pictures(folder: Path) -> None:
    assert len(load("crop", f"folder:{folder}", limit=1).queries) == 9
    assert len(load("crop", f"folder:{folder}", limit=2, variant="tgit-paper").queries) == 2
    assert len(load("crop", f"folder:{folder}", limit=99).queries) == 27


def test_paper_pools_are_the_references(shared: Path, tmp_path: Path) -> None:
    """Its recording went over a data set of two pictures, the synthetic one first."""
    golden = json.loads((shared / "reference/golden/tgit/manifest.json").read_text())["dataset_eval_after_set_seed_0"]
    synthetic().save(tmp_path / "0.png")
    synthetic().rotate(90).save(tmp_path / "1.png")
    for name, family in FAMILIES.items():
        data = load(name, f"folder:{tmp_path}", "tgit-paper")
        (row,) = golden[family.paper_name]["rows"]
        query = data.queries[0]
        assert query.candidates is not None
        assert query.input.image is not None
        assert len(data.queries) == 2
        assert query.input.text == row["query_text"]
        assert pixel_hash(query.input.image.load()) == row["query_image"]
        images = [data.candidates[key].inputs[0].image for key in query.candidates]
        assert [image and pixel_hash(image.load()) for image in images] == row["candidates"]
        assert query.relevance == {query.candidates[0]: 1.0}


def test_paper_flip_pool_has_three_bundles(folder: Path) -> None:
    data = load("flip", f"folder:{folder}", "tgit-paper")
    for query in data.queries:
        pool = data.pool(query)
        assert len(pool) == 4
        assert len({candidate.content for candidate in pool}) == 3
    assert {query.cluster for query in data.queries} == {"picture0.png", "picture1.png", "picture2.png"}


def test_paper_draws_depend_on_the_seed(folder: Path) -> None:
    hashes = {load("crop", f"folder:{folder}", "tgit-paper", seed=seed).data_hash for seed in range(4)}
    assert len(hashes) == 4


def test_source_without_images_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no usable image"):
        load("crop", f"folder:{tmp_path}")


def test_suites_and_patterns() -> None:
    clean = [f"tgit/{family}" for family in FAMILIES]
    paper = [f"tgit-paper/{family}" for family in FAMILIES]
    assert [(spec.name, source) for spec, source in select(["quick"])] == [(name, "photos:quick") for name in clean]
    assert [spec.name for spec, _ in select(["photos"])] == [*clean, *paper]
    assert [spec.name for spec, _ in select(["custom"])] == list(TASKS)
    assert [spec.name for spec, _ in select(["photos"], ["*/flip", "tgit/crop", "tgit/crop"])] == [
        "tgit/crop",
        "tgit/flip",
        "tgit-paper/flip",
    ]
    assert [spec.name for spec, _ in select(["quick"], ["*/flip"])] == ["tgit/flip"]
    assert match(["tgit-paper/*"]) == paper


@pytest.mark.parametrize(
    ("suite", "patterns", "message"),
    [
        ("quik", [], "no suite 'quik'; did you mean 'quick'"),
        ("quick", ["tgit/flop"], "no task 'tgit/flop'; did you mean 'tgit/flip'"),
        ("quick", ["tgit-paper/*"], r"suite 'quick' has no task 'tgit-paper/\*'; it has tgit/crop"),
        ("quick", ["tgit/flip", "tgit-paper/flip"], "suite 'quick' has no task 'tgit-paper/flip'"),
        ("custom", ["nothing*"], "no task"),
    ],
)
def test_unknown_names(suite: str, patterns: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select([suite], patterns)


def test_several_suites_and_patterns_of_them() -> None:
    both = [spec.name for spec, _ in select(["quick", "core"])]
    assert both == [spec.name for spec, _ in select(["core"])], "quick is part of core, and no task comes twice"
    wild = {spec.name for spec, _ in select(["c*"])}
    named = {spec.name for suite in ("core", "compositional", "cir") for spec, _ in select([suite])}
    assert wild == named
    assert {spec.name for spec, _ in select(["c*"], ["scenes/vqa-*", "cirr/val"])} == {
        name for name in named if name.startswith("scenes/vqa-") or name == "cirr/val"
    }
    with pytest.raises(UsageError, match="there is no suite 'zz\\*'"):
        select(["zz*"])
