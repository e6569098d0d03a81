"""The transforms recipe: the paper's mixture as realised, answers that differ, pixels that follow."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datagen.codecs import Codec
from datagen.generate import build
from datagen.plan import Config
from datagen.recipes.transforms import Transforms
from datagen.sources.folder import Folder
from datagen.sources.textures import Textures
from datagen.sources.types import SourceItem
from datagen.transforms.space import BEYOND, PAPER, SPACES, choose
from datagen.types import Skip
from fuselip.core.errors import UsageError
from fuselip.core.shards import open_sets
from fuselip.core.types import Group, ImageRef, Operation
from tests.benchmarks.pictures import draw

PAPER_SIZES = {"crop": 9, "rotate": 3, "jitter": 3, "flip": 4, "colorize": 2}


@pytest.fixture(scope="module")
def item() -> SourceItem:
    made = Textures(1, seed=2, size=200).item(0)
    return SourceItem(made.key, made.image, ("a caption",), made.key)


def groups(recipe: Transforms, item: SourceItem, seed: int) -> list[Group]:
    found = list(recipe.generate(item, np.random.default_rng(seed)))
    assert not [made for made in found if isinstance(made, Skip)]
    return [made for made in found if isinstance(made, Group)]


@pytest.mark.parametrize(("preset", "unimodal"), [("paper-cc3m", 0.9), ("paper-cc12m", 0.971)])
def test_realised_mixture_is_the_papers(item: SourceItem, preset: str, unimodal: float) -> None:
    """40,000 items: the share of items left alone, of each family, and of unimodal pairs, within four deviations."""
    recipe, items = Transforms(preset=preset), 40_000
    rng = np.random.default_rng(7)
    families: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for _ in range(items):
        (made,) = recipe.generate(item, rng)
        assert isinstance(made, Group)
        family = str(made.params["family"])
        families[family] += 1
        pairs["unimodal" if family == "identity" else "edits"] += len(made.pairs)
    weights = {"crop": 2 / 9, "rotate": 1 / 3, "jitter": 1 / 3, "flip": 2 / 4, "colorize": 1 / 2}
    total = sum(weights.values())
    mean = sum(weights[name] / total * PAPER_SIZES[name] for name in weights)
    alone = unimodal * mean / (1 + unimodal * (mean - 1))
    assert mean == pytest.approx(3.70588, abs=1e-5)
    assert alone == pytest.approx({0.9: 0.970890, 0.971: 0.992005}[unimodal], abs=1e-6)
    within(families["identity"], items, alone)
    for name, weight in weights.items():
        within(families[name], items, (1 - alone) * weight / total)
    assert pairs["unimodal"] / pairs.total() == pytest.approx(unimodal, abs=0.012)


def within(found: int, trials: int, share: float) -> None:
    assert abs(found - trials * share) < 4 * (trials * share * (1 - share)) ** 0.5 + 1, (found, trials * share)


def test_group_sizes_and_texts_of_the_paper(item: SourceItem) -> None:
    recipe = Transforms(preset="paper-cc3m", unimodal=0.0)
    sizes = defaultdict(set)
    for seed in range(120):
        (made,) = groups(recipe, item, seed)
        sizes[made.params["family"]].add(len(made.pairs))
        assert all(
            pair.left.image and pair.left.text and pair.right.image and not pair.right.text for pair in made.pairs
        )
        step = pair_steps(made)
        assert ("tgit.base" in step) == (made.params["family"] == "crop")
        assert ("tgit.resized_crop" in step) == (made.params["family"] != "crop")
    assert dict(sizes) == {name: {size} for name, size in PAPER_SIZES.items()}


def pair_steps(made: Group) -> set[str]:
    assert made.pairs[0].left.image
    return {operation.name for operation in made.pairs[0].left.image.operations}


def test_unimodal_pairs_hold_one_modality_a_side(item: SourceItem) -> None:
    (made,) = groups(Transforms(preset="paper-cc3m", unimodal=1.0), item, 0)
    (pair,) = made.pairs
    assert pair.left.modality == "image"
    assert pair.right.modality == "text"
    no_caption = SourceItem("x", item.image)
    (skip,) = Transforms(preset="paper-cc3m", unimodal=1.0).generate(no_caption, np.random.default_rng(0))
    assert isinstance(skip, Skip)
    assert skip.reason == "no_caption"


@pytest.mark.parametrize("settings_", [{"families": "all", "compose": 2}, {"families": "all", "phrasing": "paper"}])
def test_answers_of_a_group_differ_and_texts_are_clear(item: SourceItem, settings_: dict[str, Any]) -> None:
    for made in groups(Transforms(**settings_), item, 3):
        rights = [np.asarray(pair.right.image.load(), np.int16) for pair in made.pairs if pair.right.image]
        assert len(rights) == len(made.pairs) >= 2
        nearest = min(np.abs(a - b).mean() for i, a in enumerate(rights) for b in rights[:i])
        assert nearest >= 2.0, made.params
        assert float(made.params["min_distance"]) <= nearest + 0.01
        keys = {(pair.left.text, pair.left.image) for pair in made.pairs if pair.left.image}
        assert len(keys) == len(made.pairs)
        if settings_.get("phrasing") != "paper":
            assert len({pair.left.text for pair in made.pairs}) == len(made.pairs)


def test_the_same_item_and_rng_give_the_same_groups(item: SourceItem) -> None:
    for options in ({}, {"families": "all", "compose": 1}, {"preset": "paper-cc12m"}):
        first, again, other = (groups(Transforms(**options), item, seed) for seed in (5, 5, 6))  # type: ignore[arg-type]
        assert first == again
        assert first != other
    recipe = Transforms(families="beyond", difficulty="hard")
    assert groups(Transforms(**recipe.params), item, 1) == groups(recipe, item, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", [name for name, space in SPACES.items() if space.position is not None])
def test_harder_groups_are_nearer_in_parameters_and_in_pixels(family: str, item: SourceItem) -> None:
    spreads, pixels = {}, {}
    for difficulty in ("hard", "easy"):
        drawn = [choose(SPACES[family], SPACES[family].count, difficulty, np.random.default_rng(n)) for n in range(30)]
        spreads[difficulty] = np.mean([spread for _, spread in drawn])
        found = []
        for seed in range(24):
            (made,) = groups(Transforms(families=family, difficulty=difficulty, measure="false"), item, seed)
            rights = [np.asarray(pair.right.image.load(), np.int16) for pair in made.pairs if pair.right.image]
            found.append(np.mean([np.abs(a - b).mean() for i, a in enumerate(rights) for b in rights[:i]]))
        pixels[difficulty] = np.mean(found)
    if SPACES[family].count < len(SPACES[family].pool(np.random.default_rng(0))):  # else every draw is the whole family
        assert spreads["hard"] < spreads["easy"]
        assert pixels["hard"] < pixels["easy"]


@pytest.mark.parametrize("family", [*PAPER, *BEYOND])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_edit_keeps_size_and_mode_and_can_be_made_again(family: str, seed: int) -> None:
    base = Textures(4, size=64).item(seed % 4).image
    for edit in SPACES[family].pool(np.random.default_rng(seed))[:6]:
        made = base.then(*edit.right)
        image = made.load()
        assert image.size == (64, 64)
        assert image.mode == "RGB"
        assert image.tobytes() == base.then(*edit.right).load().tobytes()
        assert edit.text.strip() == edit.text != ""


def test_gray_photo_has_nothing_to_colorize() -> None:
    gray = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80), dtype=np.uint8))
    item = SourceItem("g", ImageRef.from_pil(gray))
    found = list(Transforms(families="colorize").generate(item, np.random.default_rng(0)))
    assert [made.reason for made in found if isinstance(made, Skip)] == ["gray_photo"]


def test_stored_pixels_are_those_of_the_recipe(tmp_path: Path) -> None:
    """Through the engine with a lossless codec: what is read back is the edit of the source."""
    source = Folder(draw(tmp_path / "pictures", 3))
    config = Config.of("transforms", source.name, {"families": "all"}, codec=Codec("png", 0))
    build(config, source, tmp_path / "set", workers=1)
    compared = 0
    originals = {item.key: item.image for item in source.items() if isinstance(item, SourceItem)}
    for shards in open_sets(tmp_path / "set").values():
        for sample in shards:
            record = sample.record
            for number, described in enumerate(record["images"]):
                stored = Image.open(io.BytesIO(sample.image_bytes(number))).convert("RGB")
                steps = [
                    Operation.of(name, version, **dict(p)) for name, version, p in json.loads(described["operations"])
                ]
                assert stored.tobytes() == originals[record["source"]].then(*steps).load().tobytes()
                compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"preset": "paper-cc4m"}, "did you mean 'paper-cc3m'"),
        ({"families": "crop+rotat"}, "did you mean 'rotate'"),
        ({"families": "crop+crop"}, "named twice"),
        ({"draw": "evry"}, "did you mean 'every'"),
        ({"unimodal": 1.5}, "share of the pairs"),
        ({"min_distance": 300.0}, "gray levels"),
        ({"compose": 1, "families": "crop"}, "needs two families"),
        ({"difficulty": "hardest"}, "known: none"),
    ],
)
def test_what_is_not_known_is_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Transforms(**options)
