"""Crops of phrases and answers to questions, in groups whose members can be told apart, or the paper's fours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen import items
from datagen.boxes import clip, iou, thin
from datagen.recipes import registry
from datagen.recipes.regions import Regions
from datagen.sources.types import Question, Region, SourceItem
from datagen.sources.visual_genome import VisualGenome
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, ImageRef
from tests.datagen.annotations import good, visual_genome
from tests.datagen.sets import picture

BOXES = st.lists(st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(41, 100)] * 2), max_size=12)


def item(*regions: Region, questions: tuple[Question, ...] = ()) -> SourceItem:
    return SourceItem("x", ImageRef.from_pil(picture(0, 400, 300)), regions=regions, questions=questions)


def groups(recipe: Regions, of: SourceItem, seed: int = 0) -> list[Group]:
    made = list(recipe.generate(of, np.random.default_rng(seed)))
    assert all(isinstance(each, Group) for each in made)
    return made  # type: ignore[return-value]


def skips(recipe: Regions, of: SourceItem) -> list[str]:
    return [each.reason for each in recipe.generate(of, np.random.default_rng(0)) if isinstance(each, Skip)]


def test_overlap_by_hand() -> None:
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert thin([(0, 0, 10, 10), (1, 0, 11, 10), (20, 0, 30, 10), (8, 0, 18, 10)], 0.3) == [0, 2, 3]
    assert clip((-3.5, 2.2, 7.1, 900), 100, 50) == (0, 2, 8, 50)
    assert clip((100, 0, 120, 50), 100, 50) is None


@given(boxes=BOXES, limit=st.floats(0, 1))
def test_thinning_keeps_what_it_must(boxes: list[tuple[int, int, int, int]], limit: float) -> None:
    kept = thin(boxes, limit)
    assert all(iou(boxes[i], boxes[j]) <= limit for i in kept for j in kept if i < j)
    for index in set(range(len(boxes))) - set(kept):
        assert any(iou(boxes[index], boxes[other]) > limit for other in kept if other < index)


def test_crops_of_phrases() -> None:
    regions = [Region(f"thing {i}", (60 * i, 10, 60 * i + 50, 90)) for i in range(6)]
    of = item(*regions)
    made = groups(Regions(), of)
    assert [len(group.pairs) for group in made] == [4, 2]
    pairs = [pair for group in made for pair in group.pairs]
    boxes = {region.phrase: region.box for region in regions}
    assert {pair.left.text for pair in pairs} == set(boxes)
    for pair in pairs:
        assert pair.left.image == of.image
        assert pair.right.image is not None
        assert pair.right.image.load().tobytes() == of.image.load().crop(boxes[pair.left.text]).tobytes()
        assert not pair.right.text
    assert groups(Regions(), of) == made
    assert groups(Regions(), of, seed=1) != made


def test_crops_that_cannot_be_told_apart_are_left_out() -> None:
    of = item(
        Region("small", (0, 0, 32, 200)),
        Region("first", (100, 0, 140, 40)),
        Region("on it", (102, 0, 142, 40)),
        Region("A man. ", (200, 0, 240, 40)),
        Region("a  man", (300, 0, 340, 40)),
        Region("just large enough", (0, 100, 33, 133)),
    )
    (group,) = groups(Regions(), of)
    assert {pair.left.text for pair in group.pairs} == {"first", "just large enough"}
    assert skips(Regions(min_side=300), of) == ["all_filtered"]


def test_a_group_holds_no_answer_twice() -> None:
    questions = tuple(Question(f"Which {i}?", answer) for i, answer in enumerate(["red", "Red.", "blue", "two", "red"]))
    of = item(questions=questions)
    for seed in range(5):
        made = groups(Regions(task="answer", size=3), of, seed)
        asked = [(pair.left.text, pair.right.text) for group in made for pair in group.pairs]
        assert sorted(asked) == sorted((each.question, each.answer) for each in questions)
        for group in made:
            answers = [pair.right.text.lower().rstrip(".") for pair in group.pairs]
            assert len(answers) == len(set(answers)) <= 3


def test_paper_groups_are_kept_as_they_are(tmp_path: Path) -> None:
    visual_genome(tmp_path, 2)
    first = good(VisualGenome(tmp_path, grouping="paper"))[0]
    (group,) = groups(Regions(grouping="paper"), first)
    one, two = (each.image for each in good(VisualGenome(tmp_path)))
    assert [pair.left.text for pair in group.pairs] == ["thing 0 of 1", "thing 1 of 1", "thing 2 of 1", "thing 0 of 2"]
    assert [pair.left.image for pair in group.pairs] == [one, one, one, two]
    last = group.pairs[3].right.image
    assert last is not None
    assert last.load().tobytes() == two.load().crop((0, 10, 40, 70)).tobytes()
    (answers,) = groups(Regions("answer", "paper"), good(VisualGenome(tmp_path, "questions", "paper"))[1])
    assert [(pair.left.image, pair.right.text) for pair in answers.pairs] == [(two, "Thing 1"), (two, "Thing 2")]


def test_source_and_recipe_agree_on_the_grouping(tmp_path: Path) -> None:
    visual_genome(tmp_path, 1)
    paper, clean = (good(VisualGenome(tmp_path, grouping=each))[0] for each in ("paper", "clean"))
    assert skips(Regions(), paper) == ["wrong_grouping"]
    assert skips(Regions(grouping="paper"), clean) == ["wrong_grouping"]
    mixed = replace(paper, regions=(*paper.regions, *clean.regions))
    assert skips(Regions(grouping="paper"), mixed) == ["wrong_grouping"]
    assert skips(Regions(), replace(clean, regions=())) == ["no_regions"]
    assert skips(Regions(task="answer"), clean) == ["no_questions"]


def test_parameters_are_checked_and_make_the_recipe_again() -> None:
    recipe = Regions("answer", "clean", 7, 10, 0.5)
    assert registry.create("regions", recipe.params, 1).params == recipe.params
    for wrong in ({"task": "box"}, {"grouping": "four"}, {"size": 0}, {"min_side": -1}, {"max_iou": 1.5}):
        with pytest.raises(UsageError):
            Regions(**wrong)  # type: ignore[arg-type]


def test_virtual_rows_hold_all_images_of_a_paper_group(tmp_path: Path) -> None:
    visual_genome(tmp_path, 2)
    first = good(VisualGenome(tmp_path, grouping="paper"))[0]
    stored = json.loads(json.dumps(items.to_json(first, tmp_path)))
    assert items.from_json(stored, tmp_path) == first
    (group,) = groups(Regions(grouping="paper"), items.from_json(stored, tmp_path))
    assert group == groups(Regions(grouping="paper"), first)[0]
    assert group.pairs[3].left.image is not None
    assert group.pairs[3].left.image.load().size == (200, 160)
