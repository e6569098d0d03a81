"""Training groups made on the fly: the evaluation's instructions and pools, train scenes only, texts that are true."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.tasks import tgit
from datagen import training, training_scenes
from datagen.scenes.draws import Draws
from datagen.scenes.sample import sample_scene
from datagen.scenes.spec import parse_spec
from datagen.transforms.base import BASE
from datagen.transforms.families import FAMILIES
from fuselip.core.errors import UsageError
from fuselip.core.types import Group, ImageRef

PAPER = tuple(FAMILIES)
KNOWN = tuple(training_scenes.KINDS)


def made(kind: str, count: int, **options: object) -> list[Group]:
    source = training.scenes(kind=kind, **options)  # type: ignore[arg-type]
    return [group for number in range(count) for group in source.read(number)]


def images(group: Group) -> set[ImageRef]:
    return {side.image for pair in group.pairs for side in (pair.left, pair.right) if side.image is not None}


@pytest.mark.parametrize("kind", PAPER)
def test_a_family_has_the_instructions_and_the_pool_of_the_evaluation(kind: str) -> None:
    (group,) = made(kind, 1)
    edits = FAMILIES[kind].edits
    if not edits:
        assert len({pair.left.text for pair in group.pairs}) == len(group.pairs) == tgit.JITTERS
        return
    [base] = {ImageRef("", image.operations[:2]) for image in images(group)}
    assert base.operations[1] == BASE
    found = [(pair.left.text, pair.left.image, pair.right.image) for pair in group.pairs]
    assert found == [(edit.text, base.then(*edit.left), base.then(*edit.right)) for edit in edits]


@pytest.mark.parametrize("kind", KNOWN)
def test_scenes_are_of_the_train_split(kind: str) -> None:
    groups = made(kind, 40)
    assert len(groups) > 15
    for group in groups:
        for image in images(group):
            assert image.source == ""
            assert not parse_spec(str(dict(image.operations[0].params)["spec"])).held_out
            assert dict(image.operations[0].params)["size"] == 256


def test_every_epoch_draws_anew_and_the_same_again() -> None:
    source = training.scenes(kind="captions", seed=3)
    again = training.scenes(kind="captions", seed=3, count=5)
    keys = [source.read(2, epoch)[0].pairs[0].left.key for epoch in (0, 1, 0)]
    assert keys[0] == keys[2] == again.read(2, 0)[0].pairs[0].left.key != keys[1]
    assert training.scenes(kind="captions", seed=4).read(2)[0].pairs[0].left.key != keys[0]


def test_kinds_that_are_joined_share_their_picture() -> None:
    groups = training.textures(kind="crop+flip").read(0)
    assert [group.params["kind"] for group in groups] == ["crop", "flip"]
    assert len({image.operations[0] for group in groups for image in images(group)}) == 1


def test_right_sides_of_a_composition_are_two_texts_of_two_pictures() -> None:
    for group in made("compositions", 60):
        one, two = group.pairs
        assert one.left.image != two.left.image
        assert one.right.text != two.right.text


def test_crops_of_a_position_lie_on_their_side() -> None:
    groups = made("positions", 60)
    assert len(groups) > 10
    for group in groups:
        left, right = (dict(pair.right.image.operations[1].params) for pair in group.pairs)
        assert left["left"] + left["right"] < right["left"] + right["right"]
        assert [pair.left.text.rsplit(" ", 1)[1] for pair in group.pairs] == ["left", "right"]
        assert group.pairs[0].left.image == group.pairs[1].left.image


def test_answers_of_an_attribute_differ() -> None:
    several = 0
    for group in made("attributes", 40):
        answers = [pair.right.text for pair in group.pairs]
        assert len(set(answers)) == len(answers)
        several += len(answers) > 1
    assert several > 10


def test_the_way_back_of_an_edit_leads_to_the_picture_itself() -> None:
    for group in made("edits", 20):
        if len(group.pairs) > 1:
            forward, back = group.pairs[:2]
            assert back.right.image == forward.left.image
            assert back.left.image == forward.right.image


def test_phrases_name_one_thing() -> None:
    scene = sample_scene(7)
    pairs = training_scenes.KINDS["regions"](scene, 256, Draws(1))
    assert len({pair.left.text for pair in pairs}) == len(pairs) == len({pair.right.image for pair in pairs})


@pytest.mark.parametrize("options", [{"kind": "crops"}, {"kind": "crop+"}, {"count": 0}, {"phrasing": "own"}])
def test_what_is_not_known_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        training.scenes(**options)  # type: ignore[arg-type]


def test_the_bank_of_phrases_has_a_text_for_each_edit() -> None:
    texts = [[pair.left.text for pair in group.pairs] for group in made("rotate", 3, phrasing="bank")]
    assert all(len(set(group)) == 18 for group in texts)
    assert texts[0] != texts[1]


def test_made_groups_need_only_numpy_and_pillow() -> None:
    code = (
        "import sys\nfrom datagen import training\n"
        "for make in (training.scenes, training.textures):\n"
        "    [pair.right.image.load() for pair in make(kind='flip', size=64).read(0)[0].pairs]\n"
        "loaded = {'pyarrow', 'pandas', 'yaml', 'torch', 'sklearn', 'skimage', 'datasets'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_no_two_training_textures_are_of_one_seed() -> None:
    source = training.textures(kind="flip", size=64)
    operations = [source.read(number)[0].pairs[0].left.image.operations[0] for number in range(50)]
    seeds = np.array([dict(operation.params)["seed"] for operation in operations])
    assert len(np.unique(seeds)) == 50
    assert seeds.min() > 2**40  # hashes, not small numbers
