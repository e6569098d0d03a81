"""Robustness: what each corruption does to a question, and what is told of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import corruptions
from benchmarks.corruptions import IMAGES, TEXTS, dropped_words, typos, variants
from benchmarks.encoders import adapt
from benchmarks.evaluation import evaluate, load
from benchmarks.robustness import robustness, to_text
from benchmarks.robustness_command import robustness as command
from benchmarks.session import Listener, Loaded
from benchmarks.types import Query, TaskContext
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input, Operation
from tests.benchmarks.pictures import Thumbnails, draw

EVERYTHING = ["clean", "no image", "no text", *IMAGES, *TEXTS]
WORDS = st.lists(st.text("abcxyz-'4", min_size=1, max_size=9), max_size=12).map(" ".join)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("pictures"), 2)


@pytest.fixture(scope="module")
def loaded(pictures: Path) -> list[Loaded]:
    return load(["custom"], ["tgit/rotate"], TaskContext(f"folder:{pictures}"), Listener())


@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_typos_keep_letters_and_the_ends_of_words(text: str) -> None:
    found = typos(text)
    assert found == typos(text)
    moved = [(before, after) for before, after in zip(text.split(), found.split(), strict=True) if before != after]
    for before, after in moved:
        assert Counter(before) == Counter(after)
        assert (before[0], before[-1]) == (after[0], after[-1])
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 2
    able = [word for word in text.split() if corruptions._swaps(word)]
    assert len(moved) == (max(1, round(len(able) / 2)) if able else 0)


@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_dropped_words_leave_the_others_in_order(text: str) -> None:
    words, left = text.split(), dropped_words(text).split()
    assert left == dropped_words(text).split()
    rest = iter(words)
    assert all(word in rest for word in left)
    assert len(left) == (len(words) - max(1, round(len(words) / 4)) if len(words) > 1 else len(words))


@pytest.mark.parametrize("name", list(IMAGES))
def test_pictures_are_corrupted_alike_each_time_and_keep_their_size(name: str, pictures: Path) -> None:
    image = ImageRef.from_file(sorted(pictures.glob("*.png"))[0])
    spoil = IMAGES[name][0]
    before, after = np.asarray(image.load(), int), np.asarray(spoil(image).load(), int)
    assert spoil(image).key == spoil(image).key != image.key
    assert after.shape == before.shape
    assert 3 < np.abs(after - before).mean() < 100
    assert np.array_equal(after, spoil(image).load())


def test_jpeg_refuses_qualities_it_does_not_know(pictures: Path) -> None:
    image = ImageRef.from_file(sorted(pictures.glob("*.png"))[0])
    with pytest.raises(UserError, match="quality must be 1 to 95, not 0"):
        image.then(Operation.of("edit.jpeg", 1, quality=0)).load()


def test_what_has_nothing_to_corrupt_stays(pictures: Path) -> None:
    image = ImageRef.from_file(sorted(pictures.glob("*.png"))[0])
    words, picture, both = Input("upside down"), Input(image=image), Input("mirrored", image)
    queries = [Query(f"q{number}", asked, {"a": 1}) for number, asked in enumerate((words, picture, both))]
    found = variants(queries)
    assert list(found) == EVERYTHING
    assert [query.input for query in found["no image"]] == [words, picture, Input("mirrored")]
    assert [query.input for query in found["no text"]] == [words, picture, picture]
    assert [query.input.text for query in found["dropped words"]][1:] == ["", "mirrored"]
    assert found["noise"][0].input == words
    assert found["typos"][1].input == picture
    assert list(variants([queries[1]])) == ["clean", *IMAGES]
    assert list(variants([replace(queries[0], input=Input("go"))])) == ["clean"]


def test_scores_with_paired_differences(loaded: list[Loaded]) -> None:
    found = robustness(adapt(Thumbnails()), loaded, cache=False)
    assert json.loads(json.dumps(found)) == found
    task = found["tasks"]["tgit/rotate"]
    rows = {row["variant"]: row for row in task["rows"]}
    assert list(rows) == EVERYTHING
    assert rows["clean"]["corrupted"] == rows["clean"]["difference"] == 0
    for row in rows.values():
        assert row["low"] <= row["value"] <= row["high"]
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        assert row["difference"] == pytest.approx(row["value"] - rows["clean"]["value"])
    assert all(row["corrupted"] == task["n"] for name, row in rows.items() if name != "clean")
    # This encoder adds a picture's vector and the words': without the picture every candidate scores by nothing.
    assert rows["no image"]["value"] == pytest.approx(task["chance"], abs=0.1)
    assert "against clean" in to_text(found)


def test_the_clean_row_is_what_an_evaluation_gives(loaded: list[Loaded], pictures: Path) -> None:
    found = robustness(adapt(Thumbnails()), loaded, cache=False)["tasks"]["tgit/rotate"]
    [result] = evaluate(Thumbnails(), tasks=["tgit/rotate"], source=f"folder:{pictures}", cache=False).results
    assert (found["rows"][0]["value"], found["n"], found["chance"]) == (result.value, result.n, result.chance)


def test_the_command(pictures: Path) -> None:
    asked = ["--model", "random", "--task", "tgit/flip", "--source", f"folder:{pictures}", "--limit", "1"]
    done = CliRunner().invoke(command, [*asked, "--no-cache", "--json"], catch_exceptions=False)
    assert [row["variant"] for row in json.loads(done.stdout)["tasks"]["tgit/flip"]["rows"]] == EVERYTHING
    table = CliRunner().invoke(command, asked, catch_exceptions=False).stdout
    assert all(name in table for name in EVERYTHING)
