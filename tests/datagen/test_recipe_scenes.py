"""build-scenes: groups of fixed sizes, true to the scene, the same with one worker or two."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datagen.generate import build
from datagen.plan import Config
from datagen.recipes.scenes import Scenes as Recipe
from datagen.sources.scenes import Scenes
from datagen.types import Skip
from datagen.verify import verify
from fuselip.core.errors import UsageError
from fuselip.core.files import sha256_file
from fuselip.core.types import Group


def test_groups_have_fixed_sizes_and_keep_to_the_scene() -> None:
    source, sizes = Scenes("train", 60), Counter[tuple[str, int]]()
    for index, item in enumerate(source.items()):
        assert not hasattr(item, "reason")
        for made in Recipe().generate(item, np.random.default_rng(index)):  # type: ignore[arg-type]
            if isinstance(made, Skip):
                assert made.reason in ("few_questions", "few_regions", "few_edits")
                continue
            sizes[str(made.params["kind"]), len(made.pairs)] += 1
            known = {*item.captions, *(q.question for q in item.questions), *(r.phrase for r in item.regions)}  # type: ignore[union-attr]
            known |= {text for edit in item.edits for text in (edit.instruction, edit.inverse)}  # type: ignore[union-attr]
            texts = {pair.left.text or pair.right.text for pair in made.pairs}
            assert texts <= known
    assert set(sizes) == {("caption", 1), ("questions", 4), ("regions", 2), ("edit", 2)}
    assert sizes["caption", 1] == 60


def test_the_same_for_the_same_item_and_rng() -> None:
    item = Scenes("test", 5).item(3)
    runs = [list(Recipe(edits=3).generate(item, np.random.default_rng(seed))) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert any(isinstance(made, Group) for made in runs[0])
    assert runs[0] != runs[2]


@pytest.mark.parametrize("virtual", [False, True])
def test_built_and_verified(tmp_path: Path, virtual: bool) -> None:
    source = Scenes("train", 40, size=64)
    config = Config.of("scenes", source.name, {}, shard_items=10, virtual=virtual)
    for workers in (1, 2):
        build(config, source, tmp_path / str(workers), workers=workers)
    one, two = (
        {
            path.relative_to(tmp_path / name): sha256_file(path)
            for path in (tmp_path / name).rglob("*.*")
            if path.is_file()
        }
        for name in "12"
    )
    different = {path.name for path in one if one[path] != two.get(path)}
    assert one.keys() == two.keys()
    assert different <= {"sessions.jsonl"}
    assert not verify(tmp_path / "1", source).problems


def test_bad_parameters() -> None:
    with pytest.raises(UsageError, match="questions must be"):
        Recipe(questions=-1)
