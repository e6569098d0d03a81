"""Conditions of a question: wrong halves are another question's, capitals change nothing else, candidates stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import study_hook
from benchmarks.corruptions import conditions, wrong_texts
from benchmarks.evaluation import load
from benchmarks.session import Listener, Loaded
from benchmarks.types import Query, TaskContext
from fuselip.core.errors import UserError
from fuselip.core.types import Input
from tests.benchmarks.pictures import Thumbnails, draw

WRONG = ["wrong image", "wrong text", "upper case"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    pictures = draw(tmp_path_factory.mktemp("pictures"), 3)
    return load(["custom"], ["tgit/rotate"], TaskContext(f"folder:{pictures}"), Listener())[0]


def test_a_wrong_half_is_another_questions(loaded: Loaded) -> None:
    asked = loaded.data.queries
    found = conditions(asked)
    assert list(found)[-3:] == WRONG
    texts, images = {query.input.text for query in asked}, {query.input.image for query in asked}
    for before, text, image in zip(asked, found["wrong text"], found["wrong image"], strict=True):
        assert text.input.image == before.input.image
        assert text.input.text in texts - {before.input.text}
        assert image.input.text == before.input.text
        assert image.input.image in images - {before.input.image}
        assert (text.key, text.relevance, text.candidates) == (before.key, before.relevance, before.candidates)
    assert [query.input.text for query in found["upper case"]] == [query.input.text.upper() for query in asked]
    assert found["wrong text"] == conditions(asked)["wrong text"]


def test_texts_are_not_exchanged_where_there_is_one(loaded: Loaded) -> None:
    one = [query for query in loaded.data.queries if query.input.text == loaded.data.queries[0].input.text]
    assert wrong_texts(one) is None
    assert "wrong text" not in conditions(one)
    alone = Query("alone", Input("upside down"), {"a": 1})
    mixed = wrong_texts([*loaded.data.queries[:4], alone])
    assert mixed is not None
    assert mixed[-1] == alone


def test_conditions_are_measured_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On drawn pictures, by an encoder that adds a picture's vector and the words'."""
    pictures = draw(tmp_path / "pictures", 2)
    monkeypatch.setattr(study_hook, "SCENES", f"folder:{pictures}")
    monkeypatch.setattr(study_hook, "TASKS", ("tgit/rotate", "tgit/colorize"))
    made: list[Path] = []

    def encoder(folder: Path) -> Thumbnails:
        made.append(folder)
        return Thumbnails()

    monkeypatch.setattr(study_hook, "run_encoder", encoder)
    found = {name: study_hook.modality(tmp_path, 0, name) for name in ("clean", "no image", "dropped words", *WRONG)}
    assert made == [tmp_path]
    clean = found["clean"]
    for scores in found.values():
        assert scores["mean/low"] <= scores["mean"] <= scores["mean/high"]
        assert scores["mean"] == pytest.approx((scores["tgit/rotate"] + scores["tgit/colorize"]) / 2)
        assert scores["mean/chance"] == clean["mean/chance"]
    assert clean == study_hook._evaluated(tmp_path, study_hook.TASKS, study_hook.SCENES)
    assert found["no image"]["mean"] == pytest.approx(clean["mean/chance"], abs=0.1)
    dropped = found["dropped words"]  # of "grayscale" and "colorize", none: that family is asked as it is
    assert dropped["tgit/colorize"] == clean["tgit/colorize"]
    assert list(dropped) == list(clean)
    with pytest.raises(UserError, match="cannot be asked with 'fog'; known: clean, no image"):
        study_hook.modality(tmp_path, 0, "fog")
