"""The tasks that need no download: whole, fast, at chance for whoever sees no picture, and different to the eye."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from benchmarks import blind, controls
from benchmarks.metrics import METRICS
from benchmarks.tasks import SUITES, TASKS, load_task
from benchmarks.types import TaskContext
from fuselip.core import images
from fuselip.core.types import ImageRef
from tests.benchmarks.twins import (
    CHOICES,
    CORE,
    MADE,
    VQA,
    data,
    every_input,
    picture,
    target,
    texts,
)
from tests.datagen.test_scenes import spec_of


@pytest.mark.parametrize("name", MADE)
def test_constant_is_at_chance_and_oracle_at_one(name: str) -> None:
    spec, of = TASKS[name], data(name)
    metric = METRICS[spec.metric]
    constant, oracle = (metric.units(make(of)) for make in (controls.constant, controls.oracle))
    assert len(constant) >= 30
    assert [unit.value for unit in constant] == pytest.approx([unit.chance for unit in constant])
    assert {unit.value for unit in oracle} == {1.0}
    if spec.chance is not None:
        assert [unit.chance for unit in constant] == pytest.approx([spec.chance] * len(constant))
    assert all(other in METRICS for other in spec.also)


@pytest.mark.parametrize("name", MADE)
def test_questions_are_whole(name: str) -> None:
    """Different keys, a source picture each, and candidates that all differ."""
    of = data(name)
    assert not of.skipped
    assert len({query.key for query in of.queries}) == len(of.queries)
    assert len({query.cluster for query in of.queries}) >= 18
    assert all(query.cluster for query in of.queries)
    for query in of.queries:
        pool = of.pool(query)
        assert len({candidate.content for candidate in pool}) == len(pool) >= 2
        assert set(query.relevance) < {candidate.key for candidate in pool}
    if all(query.candidates is not None for query in of.queries):
        assert set(of.candidates) == {key for query in of.queries for key in query.candidates or ()}


def test_core_is_embedded_and_small() -> None:
    assert SUITES["core"].source == "photos:quick"
    assert {name.split("/")[0] for name in CORE} == {"tgit", "tgit-scenes", "tgit-textures", "scenes", "digits"}
    assert not [file for name in CORE for file in TASKS[name].files]
    inputs = every_input(CORE)
    assert len({each.image.key for each in inputs if each.image}) <= 1500


def test_scenes_are_all_held_out() -> None:
    """Training on scenes:train is clean: each picture shows a combination that it never shows."""
    names = [name for name in MADE if name.startswith("scenes/")]
    shown = {each.image for each in every_input(names) if each.image}
    assert len(shown) > 500
    assert all(spec_of(image).held_out for image in shown)


def test_loading_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(ref: ImageRef) -> Image.Image:
        raise AssertionError(f"{ref} is drawn")

    monkeypatch.setattr(images, "realise", refuse)
    with pytest.raises(AssertionError):
        picture(data("digits/zero-shot").queries[0].input).load()
    for name in MADE:
        data.__wrapped__(name)


@pytest.mark.slow
def test_same_questions_in_another_process_and_others_with_another_seed() -> None:
    names = ["scenes/vqa-count", "scenes/negatives-swap_att", "scenes/crop", "scenes/edit-move", "digits/zero-shot"]
    code = (
        "import sys; from benchmarks.tasks import TASKS, load_task; from benchmarks.types import TaskContext\n"
        "for name in sys.argv[1:]: print(load_task(TASKS[name], TaskContext('photos')).data_hash)"
    )
    out = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True).stdout
    assert out.split() == [data(name).data_hash for name in names]
    assert not {data(name, 1).data_hash for name in names} & set(out.split())


@pytest.mark.parametrize("name", MADE)
def test_limit_counts_pictures(name: str) -> None:
    few = load_task(TASKS[name], TaskContext(limit=3))
    assert len({query.cluster for query in few.queries}) == 3
    assert all(few.pool(query) for query in few.queries)


@pytest.mark.parametrize("family", ["crop", "flip"])
def test_made_transformations_are_those_of_their_own_pictures(family: str) -> None:
    for made, key in (("scenes", "scene-test"), ("textures", "texture")):
        of = data(f"tgit-{made}/{family}")
        assert not of.skipped
        assert {query.cluster.rpartition("-")[0] for query in of.queries} == {key}
        assert len(of.queries) == {"crop": 4 * 9, "flip": 4 * 4}[family]


@pytest.mark.parametrize("name", VQA)
def test_question_and_answers_alone_are_worth_chance(name: str) -> None:
    """Whoever knows the whole task by heart but sees no picture: of each question and pool, and of each answer."""
    of = data(name)
    asked: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    right, offered = Counter[str](), Counter[str]()
    sized = {len(of.pool(query)) for query in of.queries}
    for query in of.queries:
        pool = texts(of, query)
        words = " ".join(sorted(re.findall("[a-z]+", query.input.text.lower())))
        asked[(query.input.text if len(pool) > 2 else words, *pool)][target(query)] += 1
        right[target(query)] += 1
        offered.update(pool)
    [size] = sized
    assert all(offered[key] == size * right[key] for key in offered)
    if name != "scenes/vqa-comparison":
        assert all(set(found.values()) == {found.total() // size} and len(found) == size for found in asked.values())


@pytest.mark.parametrize("name", [name for name in MADE if name not in ("scenes/crop", "scenes/captions-t2i")])
def test_blind_baselines_gain_nothing(name: str) -> None:
    """Shortest text, bag of words learnt on other folds, largest box: at most chance and the noise of 3 sigma."""
    metric = METRICS[TASKS[name].metric]
    found = blind.predictions(data(name))
    assert found or name.startswith("scenes/edit-")
    for rows in found.values():
        units = metric.units(rows)
        value, chance = (float(np.mean([getattr(unit, part) for unit in units])) for part in ("value", "chance"))
        assert value <= chance + 3 * np.sqrt(chance * (1 - chance) / len(units))


@pytest.mark.parametrize("name", CHOICES)
def test_shortest_text_is_at_chance_exactly(name: str) -> None:
    units = METRICS["hit@1"].units(blind.predictions(data(name))["characters"])
    assert np.mean([unit.value for unit in units]) == pytest.approx(units[0].chance)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MADE if name != "scenes/paraphrase-tot"])
def test_pictures_of_a_pool_differ_to_the_eye(name: str) -> None:
    """Drawn, and compared at 64 x 64: of any two, half a percent of the pixels differ by more than 24 of 255 levels."""
    of = data(name)
    pools = {
        tuple(sorted({picture(c.inputs[0]) for c in of.pool(q) if c.inputs[0].image}, key=lambda ref: ref.key))
        for q in of.queries
    }
    pools.add(tuple({query.input.image: None for query in of.queries if query.input.image}))
    for pool in pools:
        drawn = [small(ref) for ref in pool]
        for one, two in combinations(drawn, 2):
            assert (np.abs(one - two).max(2) > 24).mean() >= 0.005


@cache
def small(ref: ImageRef) -> np.ndarray:
    return np.asarray(ref.load().resize((64, 64)), np.int16)
