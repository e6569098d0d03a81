"""Mined neighbours without false negatives, the index of negatives, and the recipe over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.negatives.build import neighbour_index, text_index
from datagen.negatives.index import Index, write
from datagen.negatives.mining import Filter, mine, neighbours, overlap
from datagen.recipes import registry
from datagen.recipes.negatives import Negatives
from datagen.sources.hq_edit import HQEdit
from datagen.sources.registry import open_source
from datagen.sources.types import SourceItem
from datagen.types import Skip
from fuselip.core.errors import UsageError, UserError
from fuselip.core.types import Group, ImageRef, Input, Pair
from tests.datagen.annotations import good, hq_edit
from tests.datagen.sets import picture


def item(number: int, *captions: str) -> SourceItem:
    return SourceItem(str(number), ImageRef.from_pil(picture(number)), captions)


def made(recipe: Negatives, of: SourceItem) -> list[Group]:
    found = list(recipe.generate(of, np.random.default_rng(0)))
    assert all(isinstance(each, Group) for each in found), found
    return found  # type: ignore[return-value]


def skips(recipe: Negatives, of: SourceItem) -> list[str]:
    return [each.reason for each in recipe.generate(of, np.random.default_rng(0)) if isinstance(each, Skip)]


@given(count=st.integers(2, 40), k=st.integers(1, 8), seed=st.integers(0, 5), labels=st.integers(1, 40))
def test_nearest_neighbours_are_those_of_a_full_sort(count: int, k: int, seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 6))
    groups = rng.integers(0, labels, count).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datagen.negatives.mining.BLOCK", 7)
        indices, cosines = mine(vectors, k, groups)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for row in range(count):
        allowed = [other for other in range(count) if groups[other] != groups[row]]
        wanted = sorted(allowed, key=lambda other: -float(unit[row] @ unit[other]))[:k]
        kept = [index for index in indices[row].tolist() if index >= 0]
        assert kept == wanted
        assert cosines[row, : len(kept)] == pytest.approx([unit[row] @ unit[other] for other in wanted], abs=1e-5)
        assert np.isneginf(cosines[row, len(kept) :]).all()


def test_false_negatives_are_left_out_and_counted() -> None:
    angles = np.radians([0, 2, 40, 41, 50, 60])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    captions = ["a red bus", "a bus", "a dog runs", "some dog", "a big red bus", "a cat"]
    mined = neighbours(vectors, captions, k=2, rules=Filter(max_similarity=0.99, max_overlap=0.6))
    assert [index for index, _ in mined.neighbours[0]] == [2, 5]
    assert mined.dropped["too_similar"] > 0
    assert mined.dropped["same_caption"] > 0
    assert mined.dropped["like_another"] > 0
    assert overlap("A dog.", "a dog") == 1
    with pytest.raises(ValueError, match="vector 1 is zero or not finite"):
        mine(np.array([[1.0, 0.0], [0.0, np.nan]]), 1)


@pytest.fixture
def captioned(tmp_path: Path) -> tuple[Path, list[SourceItem]]:
    texts = ["A dog on a bench", "A cat on a bench", "one red car, a blue bus", "see blue car, a red bus", "no words"]
    folder = tmp_path / "images"
    folder.mkdir()
    lines = ["path,caption"]
    for number, text in enumerate(texts):
        picture(number).save(folder / f"{number}.png")
        lines.append(f'{number}.png,"{text}"')
    (folder / "list.csv").write_text("\n".join(lines))
    return tmp_path, good(open_source(f"csv:{folder / 'list.csv'}"))


def test_text_groups(captioned: tuple[Path, list[SourceItem]]) -> None:
    folder, items = captioned
    source = open_source(f"csv:{folder / 'images' / 'list.csv'}")
    counts = text_index(source, folder / "index", kinds=("replace_obj", "swap_att", "negate"))
    assert counts == {"replace_obj": 1, "swap_att": 1, "negate": 1}
    recipe = Negatives("text", str(folder / "index"))
    replaced, stated = made(recipe, items[0])
    dog, cat = items[0].image, items[1].image
    assert list(replaced.pairs) == [
        Pair(Input(image=dog), Input("A dog on a bench")),
        Pair(Input(image=cat), Input("A cat on a bench")),
    ], "the altered captions are the other's own, so they are no negatives of it"
    assert {pair.left.image for pair in stated.pairs} == {dog, cat}
    (swapped, *_) = made(recipe, items[2])
    first, second = items[2].image, items[3].image
    assert list(swapped.pairs) == [
        Pair(Input(image=first), Input("one red car, a blue bus")),
        Pair(Input(image=second), Input("see blue car, a red bus")),
        Pair(Input("swap red and blue", first), Input("one blue car, a red bus")),
        Pair(Input("swap blue and red", second), Input("see red car, a blue bus")),
    ]
    assert len(made(Negatives("text", str(folder / "index"), composed=False), items[2])[0].pairs) == 2
    assert skips(recipe, items[4]) == ["no_negatives"]
    assert skips(recipe, replace(items[2], captions=("another",)))[0] == "stale_index"
    assert [pair.left.image.load().size for pair in swapped.pairs if pair.left.image] == [(48, 32)] * 4


def test_neighbour_groups(captioned: tuple[Path, list[SourceItem]]) -> None:
    folder, items = captioned
    vectors = np.array([[1.0, 0.0], [0.99, 0.1], [0.5, 0.9], [0.45, 0.9], [-1.0, 0.1]])
    dropped = neighbour_index(items, vectors, folder / "near", k=1, rules=Filter(0.98, 0.5), encoder="test")
    assert dropped
    recipe = Negatives("neighbours", str(folder / "near"))
    (group,) = made(recipe, items[0])
    assert list(group.pairs) == [Pair(Input(image=items[i].image), Input(items[i].captions[0])) for i in (0, 2)]
    assert group.params["similarity"] == "0.4856"
    assert Index(folder / "near").settings["encoder"] == "test"


def test_the_index_is_checked(captioned: tuple[Path, list[SourceItem]]) -> None:
    folder, _ = captioned
    path = folder / "index"
    source = open_source(f"csv:{folder / 'images' / 'list.csv'}")
    text_index(source, path, kinds=("negate",))
    recipe = Negatives("text", str(path))
    assert registry.create("negatives", recipe.params, 1).params == recipe.params
    text_index(source, path, kinds=("swap_att",))
    with pytest.raises(UsageError, match="another index than the one recorded"):
        registry.create("negatives", recipe.params)
    with pytest.raises(UsageError, match="made for mode=text, not neighbours"):
        Negatives("neighbours", str(path))
    with pytest.raises(UsageError, match="needs index=FILE"):
        Negatives("text")
    with pytest.raises(UsageError, match="takes no index"):
        Negatives("edits", str(path))
    with pytest.raises(UserError, match="does not exist"):
        Index(folder / "none")
    (folder / "bad").write_text("not an index")
    with pytest.raises(UserError, match="is no index of negatives"):
        Index(folder / "bad")


def test_an_index_moves_with_its_images(captioned: tuple[Path, list[SourceItem]]) -> None:
    folder, items = captioned
    text_index(open_source(f"csv:{folder / 'images' / 'list.csv'}"), folder / "index", kinds=("swap_att",))
    moved = folder.parent / "moved"
    folder.rename(moved)
    (group,) = made(Negatives("text", str(moved / "index")), items[2])
    peer = group.pairs[1].left.image
    assert peer is not None
    assert peer.load().size == (48, 32)


def test_nothing_is_left_of_an_index_that_failed(tmp_path: Path) -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield "1", {"a": 1}
        raise UserError("the source broke off")

    with pytest.raises(UserError, match="broke off"):
        write(tmp_path / "index", rows(), {})
    assert list(tmp_path.iterdir()) == []


def test_transforms_of_one_image() -> None:
    of = item(3, "A dog on a bench.")
    for seed in range(12):
        found = list(Negatives("transforms").generate(of, np.random.default_rng(seed)))
        assert found == list(Negatives("transforms").generate(of, np.random.default_rng(seed)))
        for group in found:
            assert isinstance(group, Group)
            assert len(group.pairs) >= 2
            assert len({pair.left.text for pair in group.pairs}) == len(group.pairs)
            assert len({pair.right.image for pair in group.pairs}) == len(group.pairs)
            assert all(pair.left.image is None for pair in group.pairs)
            assert all(pair.left.text.startswith("A dog on a bench, with this edit: ") for pair in group.pairs)
    gray = SourceItem("gray", ImageRef.from_pil(picture(0).convert("L").point(lambda _: 128)), ("nothing",))
    reasons = [reason for seed in range(8) for reason in _reasons(gray, seed)]
    assert set(reasons) <= {"indistinct"}
    assert reasons


def _reasons(of: SourceItem, seed: int) -> list[str]:
    found = Negatives("transforms").generate(of, np.random.default_rng(seed))
    return [each.reason for each in found if isinstance(each, Skip)]


def test_before_and_after_an_edit(tmp_path: Path) -> None:
    hq_edit(tmp_path / "a.parquet", 1)
    (of,) = good(HQEdit("a.parquet", tmp_path))
    (group,) = made(Negatives(), of)
    after = of.edits[0].image
    assert list(group.pairs) == [
        Pair(Input(image=of.image), Input("input 0")),
        Pair(Input(image=after), Input("output 0")),
    ]
    assert skips(Negatives(), replace(of, captions=())) == ["no_caption"]
    assert skips(Negatives(), replace(of, edits=())) == ["no_edits"]
    assert skips(Negatives(), replace(of, captions=("output 0",))) == ["same_caption"]
