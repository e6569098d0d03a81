"""The paraphrase bank: several wordings for every instruction, and none that two edits of a group could share."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.phrases import JOINS, wordings
from datagen.transforms import colorize, flip
from datagen.transforms.edit import Edit
from datagen.transforms.space import SPACES

FAMILIES = sorted(SPACES)


def pool(family: str) -> list[Edit]:
    if family == "flip":
        return [edit for edit in flip.EDITS if not edit.left]
    return list(colorize.EDITS) if family == "colorize" else list(SPACES[family].pool(np.random.default_rng(0)))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_wording_means_two_edits(family: str) -> None:
    meant: dict[str, str] = {}
    for edit in pool(family):
        for words in wordings(family, edit):
            assert meant.setdefault(words, edit.key) == edit.key, f"{words!r} means {meant[words]} and {edit.key}"


@pytest.mark.parametrize("family", FAMILIES)
def test_wordings_are_several_and_plain(family: str) -> None:
    for edit in pool(family):
        found = wordings(family, edit)
        assert len(set(found)) == len(found) >= 3
        for words in found:
            assert words == words.strip() == " ".join(words.split())
            assert "{" not in words
            assert "None" not in words


def test_the_papers_own_template_is_among_them() -> None:
    for family in ("crop", "rotate", "flip", "colorize"):
        for edit in pool(family):
            assert edit.text in wordings(family, edit), (family, edit.text)


def test_joined_instructions_keep_their_order() -> None:
    for form in JOINS:
        text = form.format(first="FIRST", second="SECOND")
        assert text.count("FIRST") == text.count("SECOND") == 1
    assert len({form.format(first="A", second="B") for form in JOINS}) == len(JOINS)
