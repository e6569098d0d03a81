"""Re-running: the encoder that was submitted agrees with itself, another does not, and nothing else is encoded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lb_bundles import TASKS, Tuned, make_bundle, make_metadata, make_run
from scoring_cases import prediction

from benchmarks.predictions import PredictionFile
from benchmarks.types import Prediction
from fuselip.core.errors import UserError
from fuselip.core.types import Input
from leaderboard.answers import Book
from leaderboard.bundle import Bundle, TaskFiles, read
from leaderboard.cli import main
from leaderboard.pack import pack
from leaderboard.rerun import judge, rerun, shares


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return Book(tmp_path_factory.mktemp("sheets"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read(make_bundle(tmp_path_factory.mktemp("bundle")))


class Counting(Tuned):
    """Counts what it is asked for."""

    asked = 0

    def encode(self, inputs: list[Input], role: str = "query") -> np.ndarray:  # type: ignore[override]
        self.asked += len(inputs)
        return super().encode(inputs, role)


class Shaken(Tuned):
    """The same vectors as another machine might give them."""

    def encode(self, inputs: list[Input], role: str = "query") -> np.ndarray:  # type: ignore[override]
        vectors = super().encode(inputs, role)
        return vectors * (1 + 1e-5 * np.random.default_rng(1).standard_normal(vectors.shape)).astype(np.float32)


def test_the_same_encoder_agrees_and_only_the_sample_is_encoded(found: Bundle, book: Book) -> None:
    encoder = Counting(0.5, 0, TASKS)
    told = rerun(found, encoder, book, 12, seed=4)
    assert (told.questions, told.agree, told.tasks, told.difference) == (12, 12, 2, "")
    assert told.largest < 1e-6
    assert told.same_order == 12
    assert encoder.asked <= 12 * 19
    assert not told.passed  # twelve questions cannot show that nine of ten agree
    whole = rerun(found, encoder, book, 60, seed=4)
    assert (whole.agree, whole.passed) == (60, True)
    assert 0.9 < whole.low < 1 == whole.high


def test_another_machine_agrees_another_encoder_does_not(found: Bundle, book: Book) -> None:
    assert rerun(found, Shaken(0.5, 0, TASKS), book, 60, seed=1).passed
    other = rerun(found, Tuned(0.45, 0, TASKS), book, 60, seed=1)
    assert other.agree == 0
    assert not other.passed
    assert other.difference.startswith("tgit/crop, query ")
    assert ": says " in other.difference


def test_the_seed_decides_the_sample(found: Bundle, book: Book) -> None:
    encoder = Tuned(0.45, 0, TASKS)
    same = [rerun(found, encoder, book, 6, seed=seed) for seed in (1, 1, 2)]
    assert same[0] == same[1]
    assert same[0].difference != same[2].difference


def test_a_few_forged_questions_are_seen(found: Bundle, book: Book) -> None:
    """A quarter of the questions with the right answer lifted to the top: arithmetic cannot see it, encoding does."""

    def lifted(row: Prediction) -> Prediction:
        right = row.targets[0].key
        top = ((right, 0.9), *(pair for pair in row.top if pair[0] != right))
        return replace(row, targets=(replace(row.targets[0], above=0),), top=top)

    name = "tgit/rotate"
    file = found.tasks[name].predictions
    rows = [lifted(row) if place % 4 == 0 else row for place, row in enumerate(file.variants["model"])]
    forged = PredictionFile(file.header, {**file.variants, "model": rows})
    tasks = {name: TaskFiles(found.tasks[name].claim, lambda: forged)}
    told = rerun(replace(found, tasks=tasks), Tuned(0.5, 0, TASKS), book, 60, seed=0)
    assert told.agree < told.questions
    assert not told.passed


def test_shorter_vectors_are_asked_as_they_were_scored(tmp_path: Path, book: Book) -> None:
    for options, fails in ({"truncate_dim": 16}, False), ({"quantise": "binary"}, False), ({"quantise": "int8"}, True):
        run = make_run(tmp_path / str(options), tasks=("tgit/crop",), **options)
        about = tmp_path / "about.json"
        told = make_metadata(dimension=options.get("truncate_dim", 32), quantised=options.get("quantise"))
        about.write_text(json.dumps(told))
        pack(run, about, tmp_path / "out.zip")
        packed = read(tmp_path / "out.zip")
        if fails:
            with pytest.raises(UserError, match="int8"):
                rerun(packed, Tuned(0.5, 0, TASKS), book, 10, seed=0)
        else:
            assert rerun(packed, Tuned(0.5, 0, TASKS), book, 10, seed=0).agree == 10


def test_shares_of_the_tasks() -> None:
    assert shares({"a": 90, "b": 10, "c": 1}, 20) == {"a": 18, "b": 2, "c": 1}
    assert shares({"a": 5, "b": 5}, 1000) == {"a": 5, "b": 5}
    with pytest.raises(UserError, match="at least one question"):
        shares({"a": 5}, 0)


def listed(*top: tuple[str, float]) -> Prediction:
    return prediction(5, top=top)


@pytest.mark.parametrize(
    ("again", "why"),
    [
        (listed(("a", 0.5), ("b", 0.4)), ""),
        (listed(("a", 0.5001), ("b", 0.4)), ""),
        (listed(("a", 0.5), ("b", 0.41)), "says 0.40000 of 'b', computed 0.41000"),
        (listed(("x", 0.6), ("a", 0.5), ("b", 0.4)), "does not list 'x'"),
        (listed(("a", 0.5), ("b", 0.4), ("x", 0.39)), ""),
    ],
)
def test_one_question(again: Prediction, why: str) -> None:
    said, _ = judge(listed(("a", 0.5), ("b", 0.4)), again, 2e-4)
    assert said.startswith(why)
    assert bool(said) == bool(why)


def test_a_first_place_within_the_tolerance_still_counts() -> None:
    """Scores moved by less than the tolerance, so that another candidate comes first: seen, unless it is a tie."""
    forged = listed(("a", 0.50010), ("b", 0.5))
    assert "puts 'a' first" in judge(forged, listed(("b", 0.5), ("a", 0.49995)), 2e-4)[0]
    assert judge(forged, listed(("b", 0.5), ("a", 0.499995)), 2e-4)[0] == ""


def test_the_command(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    arguments = ["verify", str(path), "--rerun", "40", "--seed", "3", "--model", "lb_bundles:Tuned"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "re-run: 40 of 40 questions agree" in result.output
    assert result.output.endswith("badge: re-run\n")
    result = CliRunner().invoke(main, [*arguments, "--model-arg", "quality=0.4"])
    assert result.exit_code == 1
    assert result.output.endswith("badge: consistent\n")
