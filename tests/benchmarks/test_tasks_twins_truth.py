"""The tasks that need no download: right answers are true of the scenes, wrong ones are not, and classes are even."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from benchmarks.tasks import TASKS
from benchmarks.tasks.scenes_edits import effect
from benchmarks.tasks.scenes_negatives import difference
from benchmarks.types import Query, TaskData
from datagen.scenes.negatives import Negative
from datagen.scenes.phrases import NUMBERS
from datagen.scenes.spec import picture as scene_picture
from datagen.scenes.truth import cell
from datagen.scenes.types import Scene
from datagen.sources.types import Edit, Question
from fuselip.core.types import Input
from tests.benchmarks.twins import (
    NEGATIVES,
    VQA,
    data,
    picture,
    scene_of,
    target,
    texts,
)
from tests.datagen.test_scenes import answer, holds, spec_of


@pytest.mark.parametrize("name", VQA)
def test_answers_follow_from_the_scene(name: str) -> None:
    of, kind = data(name), name.partition("vqa-")[2]
    assert len(of.queries) == 48
    for query in of.queries:
        said = Question(query.input.text, target(query), kind)
        assert answer(said, scene_of(query)) == said.answer


@pytest.mark.parametrize(
    ("kind", "field"), [("color", "colour"), ("shape", "shape"), ("texture", "texture"), ("size", "size")]
)
def test_picture_shows_all_answers_of_its_pool(kind: str, field: str) -> None:
    """So that the picture alone is worth chance as well."""
    for query in data(f"scenes/vqa-{kind}").queries:
        assert set(query.candidates or ()) <= {getattr(thing, field) for thing in scene_of(query).things}


def test_comparisons_are_asked_both_ways() -> None:
    by_picture: dict[str, list[Query]] = defaultdict(list)
    for query in data("scenes/vqa-comparison").queries:
        by_picture[query.key.rpartition("/")[0]].append(query)
    assert {len(pair) for pair in by_picture.values()} == {2}
    first = 0
    for one, two in by_picture.values():
        assert target(one) != target(two)
        assert one.candidates == two.candidates
        words = [sorted(re.findall("[a-z]+", query.input.text)) for query in (one, two)]
        assert words[0] == words[1] or {"larger", "smaller"} == set(words[0]) ^ set(words[1])
        first += target(one) in one.input.text.partition(" or ")[0]
    assert 4 <= first <= 20


@pytest.mark.parametrize("name", NEGATIVES)
def test_negatives_are_false_and_balanced(name: str) -> None:
    of, total = data(name), np.zeros(4, int)
    assert 50 <= len(of.queries) <= 60
    for query in of.queries:
        [false] = set(texts(of, query)) - {target(query)}
        assert holds(target(query), scene_of(query))
        assert not holds(false, scene_of(query))
        total += difference(Negative("", target(query), false))
    assert not total.any()


def test_difference_counts_words_characters_denials_and_held_out_claims() -> None:
    assert difference(Negative("", "there is a red star", "there is no red star")) == (0, -1, -1, 1)
    assert difference(Negative("", "a blue star and a ring", "a ring and a red star, a blue arrow")) == (-1, -1, 0, -1)


def test_crossed_pictures_and_captions() -> None:
    of = data("scenes/winoground")
    groups: dict[str, list[Query]] = defaultdict(list)
    for query in of.queries:
        groups[query.group].append(query)
    assert len(groups) == 30
    assert Counter(query.tags["exchanged"] for query in of.queries) == {"colours": 30, "places": 30}
    for one, two in groups.values():
        own, other = (of.candidates[target(query)].inputs[0].text for query in (one, two))
        assert sorted(own.split()) == sorted(other.split())
        for query, true, false in ((one, own, other), (two, other, own)):
            assert holds(true, scene_of(query))
            assert not holds(false, scene_of(query))


def test_paraphrases_are_true_and_the_third_is_not() -> None:
    of, pairs = data("scenes/paraphrase-itt"), data("scenes/paraphrase-tot")
    for query in of.queries:
        assert len(query.relevance) == 2
        for text in texts(of, query):
            assert holds(text, scene_of(query)) == (text in query.relevance)
    assert {query.input.text for query in pairs.queries} == {text for query in of.queries for text in query.relevance}
    assert all(query.input.image is None and query.tags["self"] == query.input.text for query in pairs.queries)
    relations = Counter(
        re.findall("left|right|above|below", " ".join(text for q in of.queries for text in texts(of, q)))
    )
    assert min(relations.values()) > relations.total() / 8


def test_no_caption_is_true_of_two_pictures() -> None:
    of = data("scenes/captions-t2i")
    shown = [Counter((t.colour, t.shape) for t in spec_of(picture(c.inputs[0])).things) for c in of.candidates.values()]
    assert len(shown) == 100
    assert not [pair for pair in combinations(shown, 2) if pair[0] <= pair[1] or pair[1] <= pair[0]]
    said = {query.key: query.input.text for query in of.queries}
    back = data("scenes/captions-i2t")
    assert said == {key: candidate.inputs[0].text for key, candidate in back.candidates.items()}
    for query in back.queries:
        for thing in scene_of(query).things:
            assert f"{thing.colour} {thing.shape}" in said[query.key]


@pytest.mark.parametrize(("kind", "classes", "each"), [("shape", 16, 4), ("colour", 12, 5), ("count", 5, 12)])
def test_classes_are_those_of_the_scene_and_as_frequent(kind: str, classes: int, each: int) -> None:
    of = data(f"scenes/zero-shot-{kind}")
    assert set(Counter(map(target, of.queries)).values()) == {each}
    assert len(of.candidates) == classes
    assert all(
        len(candidate.inputs) == 3 and candidate.key in str(candidate.inputs) for candidate in of.candidates.values()
    )
    for query in of.queries:
        things = scene_of(query).things
        label = NUMBERS[len(things)] if kind == "count" else getattr(things[0], kind)
        assert target(query) == label
        assert kind == "count" or len(things) == 1


def cut(of: TaskData, key: str) -> tuple[Scene, tuple[int, ...]]:
    """The scene a crop is of, and its box (left, top, right, bottom)."""
    image = picture(of.candidates[key].inputs[0])
    box = dict(image.operations[1].params)
    return spec_of(image), tuple(int(box[side]) for side in ("left", "top", "right", "bottom"))


def shapes_at(of: TaskData, key: str) -> list[tuple[str, str]]:
    """(shape, colour) of the things whose centre is that of the crop."""
    scene, (left, top, right, bottom) = cut(of, key)
    x, y = (left + right) / 2 / 0.256, (top + bottom) / 2 / 0.256
    return [(t.shape, t.colour) for t in scene.things if abs(t.x - x) < 70 and abs(t.y - y) < 70]


def test_crops_are_of_the_thing_that_is_named() -> None:
    of = data("scenes/crop")
    assert len(of.queries) >= 60
    for query in of.queries:
        scene, named, own = scene_of(query), query.input.text, target(query)
        others = [key for key in query.candidates or () if key != own]
        inside = [key for key in others if cut(of, key)[0] == scene]
        elsewhere = [key for key in others if key not in inside]
        assert (len(inside), len(elsewhere)) == (3, 3)
        [colour] = [colour for shape, colour in shapes_at(of, own) if shape == named]
        assert cut(of, own)[0] == scene
        assert all(named in dict(shapes_at(of, key)) for key in elsewhere)
        assert all((named, colour) not in shapes_at(of, key) for key in others)


def test_positions_are_those_of_the_two() -> None:
    of = data("scenes/position")
    for query in of.queries:
        scene = scene_of(query)
        _, shape, side = re.fullmatch(r"(The) (.+) on the (left|right)", query.input.text).groups()  # type: ignore[union-attr]
        twins = sorted((thing for thing in scene.things if thing.shape == shape), key=lambda thing: thing.x)
        assert len({thing.colour for thing in twins}) == len(twins) == 2
        wanted = twins[0 if side == "left" else 1]
        assert (shape, wanted.colour) in shapes_at(of, target(query))
    assert Counter(query.input.text.rpartition(" ")[2] for query in of.queries) == {
        "left": len(of.queries) // 2,
        "right": len(of.queries) // 2,
    }


@pytest.mark.parametrize("kind", ["recolour", "move", "remove", "add", "swap"])
def test_edits_are_what_is_asked_for_and_no_other_candidate_is(kind: str) -> None:
    of = data(f"scenes/edit-{kind}")
    assert len(of.queries) == 40
    for query in of.queries:
        before = scene_of(query)
        made = {key: picture(of.candidates[key].inputs[0]) for key in query.candidates or ()}
        assert made.pop(f"{query.cluster}/unchanged") == query.input.image
        effects = {key: effect(before, Edit("", image, kind=key.rpartition("-")[2])) for key, image in made.items()}
        assert len(set(effects.values())) == 10
        assert Counter(key.rpartition("-")[2] for key in made) == dict.fromkeys(
            ("recolour", "move", "remove", "add", "swap"), 2
        )
        after = spec_of(made[target(query)])
        gone = [thing for thing in before.things if thing not in after.things]
        new = [thing for thing in after.things if thing not in before.things]
        assert (len(gone), len(new)) == {"remove": (1, 0), "add": (0, 1), "swap": (2, 2)}.get(kind, (1, 1))
        text = query.input.text
        if kind == "recolour":
            assert text.endswith(f" {new[0].colour}")
        if kind in ("move", "add"):
            assert text.endswith(f" {cell(new[0])}")
        if kind == "remove":
            assert gone[0].shape in text or "object" in text


def test_an_edit_of_the_same_effect_is_known() -> None:
    of = data("scenes/edit-move")
    query = of.queries[0]
    before = scene_of(query)
    after = spec_of(picture(of.candidates[target(query)].inputs[0]))
    [place] = [number for number, thing in enumerate(after.things) if thing not in before.things]
    moved = after.things[place]
    for shift, same in ((1, True), (300, False)):
        x = moved.x + shift if moved.x + shift < 1000 else moved.x - shift
        nudged = replace(after, things=(*after.things[:place], replace(moved, x=x), *after.things[place + 1 :]))
        effects = {effect(before, Edit("", scene_picture(each, 64), kind="move")) for each in (after, nudged)}
        assert (len(effects) == 1) is same


def test_digits_are_real_and_the_probe_is_fitted_to_others() -> None:
    of = data("digits/linear-probe")
    asked = {picture(query.input).key for query in of.queries}
    learnt = {picture(item).key for item, _ in of.training}
    assert (len(asked), len(learnt)) == (100, 150)
    assert not asked & learnt
    assert set(Counter(map(target, of.queries)).values()) == {10}
    assert set(Counter(label for _, label in of.training).values()) == {15}
    assert {label for _, label in of.training} == set(of.candidates)
    assert TASKS["digits/linear-probe"].params == {"probe": True}
    from sklearn.linear_model import LogisticRegression

    x, y = np.array([pixels(item) for item, _ in of.training]), [label for _, label in of.training]
    fitted = LogisticRegression(max_iter=200).fit(x, y)
    assert fitted.score(np.array([pixels(query.input) for query in of.queries]), list(map(target, of.queries))) > 0.75


def pixels(of: Input) -> np.ndarray:
    return np.asarray(picture(of).load().convert("L").resize((8, 8)), np.float32).ravel() / 255
