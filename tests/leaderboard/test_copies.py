"""Copies: the same rankings are found, nearly the same too, and honest encoders of one quality are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lb_bundles import Tuned, make_bundle, task_data

from benchmarks import controls
from benchmarks import tasks as registry
from benchmarks.predictions import PredictionFile
from benchmarks.results import summarise
from benchmarks.score import rank
from benchmarks.types import TaskData
from fuselip.core.errors import UserError
from leaderboard import bundle, copies
from leaderboard.answers import Book, known_of
from leaderboard.copies import Other, Print
from leaderboard.types import Scored
from leaderboard.verify import check_task, verify

TASK = "tgit/rotate"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return Book(tmp_path_factory.mktemp("sheets"))


def scored(noise: float = 0.0, quality: float = 0.4, seed: int = 0, name: str = TASK) -> dict[str, Scored]:
    """What an encoder gets whose query vectors are `Tuned`'s with some noise added."""
    data: TaskData = task_data(name)
    spec = registry.task(name)
    encoder = Tuned(quality, seed, (name,))
    distinct = {each.content: each for each in data.candidates.values()}
    contents = sorted(distinct)
    gallery = encoder.encode([distinct[content].inputs[0] for content in contents], role="candidate")
    shaken = np.random.default_rng(9).standard_normal((len(data.queries), gallery.shape[1])) / gallery.shape[1] ** 0.5
    asked = encoder.encode([query.input for query in data.queries]) + noise * shaken
    found = {"model": rank(data.queries, data, asked, contents, gallery)}
    known = replace(known_of(spec, data), variants=("model",))
    result = summarise(spec, data, found | controls.predictions(data), seconds=1.0)
    header = {"task": name, "version": str(spec.version), "data_hash": data.data_hash}
    checked = check_task(known, result, PredictionFile(header, found))
    assert checked.scored is not None, checked.faults
    return {name: checked.scored}


def test_the_same_is_identical_and_survives_storage() -> None:
    mine = copies.prints(scored())
    assert copies.decode(copies.encode(mine)) == mine
    found = copies.compare(mine, copies.decode(copies.encode(copies.prints(scored()))))
    assert found.identical
    assert (found.first, found.order) == (1.0, pytest.approx(1.0))
    with pytest.raises(UserError, match="damaged"):
        copies.decode(b"\x81\xa1x")


@pytest.mark.parametrize(("noise", "near"), [(0.001, True), (0.005, True), (0.5, False)])
def test_a_little_noise_is_a_near_copy(noise: float, near: bool) -> None:
    found = copies.compare(copies.prints(scored()), copies.prints(scored(noise)))
    assert not found.identical
    assert found.near is near, found


@pytest.mark.parametrize("quality", [0.0, 0.4, 0.5, 1.0])
def test_honest_encoders_of_one_quality_are_no_copies(quality: float) -> None:
    found = copies.compare(copies.prints(scored(0.0, quality, 1)), copies.prints(scored(0.05, quality, 2)))
    assert not found.identical
    assert not found.near


def test_what_leaves_no_choice_proves_nothing() -> None:
    """Two candidates and all right; or everything tied, so that the list's order is that of the hashes."""
    easy = copies.prints(scored(quality=1.0, name="tgit/colorize"))
    found = copies.compare(easy, easy)
    assert not found.identical
    assert not found.near
    assert np.isnan(found.first)
    mine = copies.prints(scored())
    tied = {TASK: Print(TASK, mine[TASK].data_hash, "d", 0.1, np.full(90 * copies.KEPT, -1, "<i4").tobytes())}
    assert not copies.compare(tied, tied).identical
    assert copies.compare(mine, {}).tasks == 0
    assert not copies.compare(mine, {}).identical


def test_at_the_ceiling_the_same_firsts_prove_nothing() -> None:
    mine = copies.prints(scored(quality=1.0))
    assert mine[TASK].value > copies.CEILING
    found = copies.compare(mine, copies.prints(scored(0.01, quality=1.0)))
    assert not found.near


def test_a_copy_is_refused_but_to_its_owner(tmp_path: Path, book: Book) -> None:
    mine = bundle.read(make_bundle(tmp_path / "a"))
    prints = verify(mine, book).prints
    copied = verify(bundle.read(make_bundle(tmp_path / "b", name="Other")), book, others=[Other("first", prints)])
    (fault,) = copied.faults
    assert fault.what.startswith("a copy of first: its rankings on all 2 tasks")
    assert copied.badge is None
    again = verify(mine, book, others=[Other("first", prints, own=True)])
    assert again.faults == []
    assert again.notes == ["submitted before as first: its rankings on all 2 tasks that both have are the same"]
    different = verify(bundle.read(make_bundle(tmp_path / "c", seed=3)), book, others=[Other("first", prints)])
    assert different.faults == []
    assert not any("near copy" in flag for flag in different.flags)


def test_a_near_copy_is_flagged(tmp_path: Path, book: Book) -> None:
    mine = bundle.read(make_bundle(tmp_path))
    verdict = verify(mine, book)
    table = {name: each.table().copy() for name, each in verdict.prints.items()}
    for each in table.values():
        each[0, [0, 1]] = each[0, [1, 0]]
    almost = {
        name: Print(name, each.data_hash, "other", each.value, table[name].tobytes())
        for name, each in verdict.prints.items()
    }
    flags = verify(mine, book, others=[Other("first", almost)]).flags
    assert any(flag.startswith("near copy of first: 98.") for flag in flags), flags
    assert not any("near copy" in flag for flag in verify(mine, book, others=[Other("first", almost, own=True)]).flags)
