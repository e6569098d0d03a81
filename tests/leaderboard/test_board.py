"""The board: coverage, averages that are never filled in, flags, order, and the same bytes for the same board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from lb_board import entries, made, row_id, small, specs, task_names, units
from lb_bundles import make_bundle

from benchmarks import stats
from benchmarks import tasks as registry
from fuselip.core.errors import UserError
from leaderboard import board, bundle, families
from leaderboard.answers import Book
from leaderboard.board import CHALLENGE
from leaderboard.compose import compose
from leaderboard.entries import Entry, Told, Units
from leaderboard.verify import verify

NAMES = task_names(4)


@pytest.fixture
def asked() -> dict[str, Units]:
    return units(NAMES, np.array([[0.9] * 4, [0.5] * 4, [0.5] * 4, [0.1] * 4]))


def composed(held: list[Entry], asked: dict[str, Units], **options: Any) -> board.Board:
    return compose(held, asked, tasks=specs(NAMES), made={"fuselip": "0"}, **options)


def test_rows_stand_by_average_with_bands_and_every_pair(asked: dict[str, Units]) -> None:
    document = composed(entries(asked, 4), asked)
    assert document.rows[0].id == row_id(0)
    assert document.rows[3].id == row_id(3)
    assert [(row.rank.best, row.rank.worst) for row in document.rows if row.rank] == [(1, 1), (2, 3), (2, 3), (4, 4)]
    assert document.pairs.ids == [row.id for row in document.rows]
    averages = {row.id: row.average.value for row in document.rows if row.average}
    for first in averages:
        for second in averages:
            found = document.pairs.of(first, second)
            if first == second:
                assert found is None
            else:
                assert found is not None
                assert found[0] == pytest.approx(averages[first] - averages[second], abs=1e-5)
    assert document.clusters == 80  # 40 images of each of two sources, however many tasks use them
    assert not document.few


def test_an_average_is_the_mean_of_normalised_scores(asked: dict[str, Units]) -> None:
    row = composed(entries(asked, 4), asked).rows[0]
    assert row.average is not None
    assert row.average.value == pytest.approx(np.mean([score.normalised for score in row.scores.values()]))
    for score in row.scores.values():
        assert score.chance is not None
        assert score.normalised == pytest.approx((score.value - score.chance) / (1 - score.chance))
    two = [row.scores[name].normalised for name in ("tgit/crop", "tgit/rotate")]
    assert row.families["transforms"].value == pytest.approx(np.mean(two))


def test_a_row_that_lacks_a_task_is_neither_averaged_nor_ranked(asked: dict[str, Units]) -> None:
    document = composed(entries(asked, 4, {0: ["scenes/vqa-color"]}), asked)
    row = next(row for row in document.rows if row.id == row_id(0))
    assert (row.average, row.rank, row.coverage) == (None, None, board.Coverage(3, 4))
    assert row.partial is not None
    assert row.partial.value == pytest.approx(np.mean([score.normalised for score in row.scores.values()]))
    assert "questions" not in row.families
    assert "transforms" in row.families
    assert row.id not in document.pairs.ids
    assert document.rows[3].id == row_id(0)
    # The others are ranked as if it were not there.
    rest = composed(entries(asked, 4)[1:], asked)
    assert [(r.id, r.rank) for r in rest.rows] == [(r.id, r.rank) for r in document.rows if r.rank]


def test_scores_of_other_data_do_not_count_and_are_said(asked: dict[str, Units]) -> None:
    held = entries(asked, 4)
    old = replace(held[1].scores[0], data_hash="of another day")
    held[1] = replace(held[1], scores=[old, *held[1].scores[1:]])
    row = next(row for row in composed(held, asked).rows if row.id == row_id(1))
    assert row.coverage.tasks == 3
    assert NAMES[0] not in row.scores
    assert any(NAMES[0] in flag for flag in row.flags)


def test_tasks_outside_the_suite_are_shown_and_not_averaged(asked: dict[str, Units]) -> None:
    document = compose(entries(asked, 4), asked, tasks=specs(NAMES[:2]), made={})
    assert {task.name: task.counted for task in document.tasks} == {name: name in NAMES[:2] for name in NAMES}
    row = document.rows[0]
    assert row.coverage == board.Coverage(2, 2)
    assert row.average is not None
    assert row.average.value == pytest.approx(np.mean([row.scores[name].normalised for name in NAMES[:2]]))
    assert set(row.scores) == set(NAMES)


def test_one_baseline_that_gets_far_says_that_a_task_needs_no_fusion(asked: dict[str, Units]) -> None:
    held = entries(asked, 4)
    audits = [{"needs_fusion": None}, {"needs_fusion": True, "reason": "no"}, {"needs_fusion": True, "reason": "no"}]
    for entry, audit in zip(held, audits, strict=False):
        entry.scores[0].numbers["audit"] = audit  # type: ignore[index]
    assert held[3].scores[0].numbers["audit"]["needs_fusion"] is True

    def first(held: list[Entry]) -> board.Task:
        return next(task for task in composed(held, asked).tasks if task.name == NAMES[0])

    assert first(held).needs_fusion is True
    held[2].scores[0].numbers["audit"] = {"needs_fusion": False, "reason": "text only reaches 93.0"}  # type: ignore[index]
    assert first(held).needs_fusion is False
    assert "text only reaches 93.0 (Encoder 2; so in 1 of 4 rows)" in first(held).audit
    assert first(held[:1]).needs_fusion is None


def test_reported_rows_are_last_and_change_nothing_of_ours() -> None:
    document = small()
    ours = [row for row in document.rows if row.comparable]
    theirs = document.rows[len(ours) :]
    assert len(ours) == 6
    assert theirs
    assert not any(row.comparable or row.rank or row.average or row.partial or row.families for row in theirs)
    assert not {row.id for row in theirs} & set(document.pairs.ids)
    assert all(row.rank is None or row.rank.worst <= 5 for row in ours)


def test_the_order_of_submissions_makes_no_difference_and_json_comes_back(asked: dict[str, Units]) -> None:
    held = entries(asked, 4)
    one, other = composed(held, asked), composed(held[::-1], asked)
    assert board.to_json(one) == board.to_json(other)
    assert board.from_json(board.to_json(one)) == one
    with pytest.raises(msgspec.ValidationError):
        board.from_json(b'{"rows": 3}')


def test_light_leaves_out_what_only_one_page_needs() -> None:
    document = small()
    light = board.light(document)
    assert any(row.skills and row.provenance for row in document.rows)
    assert not any(row.skills or row.provenance for row in light.rows)
    assert not light.pairs.ids
    assert [row.average for row in light.rows] == [row.average for row in document.rows]


def test_what_is_told_of_a_row(asked: dict[str, Units]) -> None:
    row = next(row for row in composed(entries(asked, 4), asked).rows if row.id == row_id(1))
    assert row.embedding_bytes == 4 * 512
    assert row.reproduce == "fuselip-bench run --model hf:someone/1"
    assert row.throughput["machine"]
    assert row.challenge is not None
    assert tuple(row.challenge) == CHALLENGE
    assert row.skills[NAMES[0]]["angle"][0]["value"] == 10


def test_a_reproduce_command_is_quoted_and_shows_no_path_of_a_machine(asked: dict[str, Units]) -> None:
    command = ["/home/someone/venv/bin/fuselip-bench", "run", "--model", "x; rm -rf ~", "a\x1b[31m\nb"]
    held = [replace(entries(asked, 1)[0], provenance={"command": command})]
    (row,) = composed(held, asked).rows
    assert row.reproduce == "fuselip-bench run --model 'x; rm -rf ~' 'a b'"


def test_damaged_units_and_shared_ids_are_refused(asked: dict[str, Units]) -> None:
    held = entries(asked, 2)
    with pytest.raises(UserError, match="share an id"):
        composed([held[0], held[0]], asked)
    asked[NAMES[0]].values[row_id(1)][3] = np.nan  # type: ignore[index]
    with pytest.raises(UserError, match="damaged"):
        composed(held, asked)


def test_an_empty_board_is_a_board() -> None:
    document = compose([], {}, made={})
    assert document.suite == "core"
    assert [task.name for task in document.tasks]
    assert not document.rows
    assert board.from_json(board.to_json(document)) == document


def test_every_task_of_core_has_a_family_with_a_title() -> None:
    names = [spec.name for spec, _ in registry.select(["core"])]
    grouped = families.grouped(names)
    assert sorted(name for held in grouped.values() for name in held) == sorted(names)
    assert set(grouped) <= set(families.FAMILIES)
    assert families.grouped(["odd/task"]) == {"odd": ["odd/task"]}
    assert families.title("odd") == "odd"


def test_few_images_are_flagged() -> None:
    asked = units(NAMES[:1], np.array([[0.9], [0.1]]), images=stats.FEW - 1)
    document = compose(entries(asked, 2), asked, tasks=specs(NAMES[:1]), made={})
    assert document.few


@pytest.mark.slow
def test_a_board_of_500_rows_and_60_tasks_takes_seconds() -> None:
    import time

    begun = time.process_time()
    document = made(500, 60)
    assert time.process_time() - begun < 20
    assert len(document.pairs.p) == 500 * 499 // 2


@pytest.mark.slow
def test_a_board_of_real_submissions_says_what_their_verification_computed(tmp_path: Path) -> None:
    book, held, units = Book(tmp_path / "answers"), [], {}
    for quality in (0.3, 0.8):
        made = bundle.read(make_bundle(tmp_path, quality=quality, name=f"Tuned {quality}"))
        verdict = verify(made, book)
        assert not verdict.faults
        told = []
        for name, scored in verdict.scored.items():
            version, data_hash = scored.sheet.version, scored.sheet.data_hash
            told.append(Told(name, version, data_hash, scored.sheet.metric, msgspec.to_builtins(vars(scored.numbers))))
            values = units.setdefault(name, Units(version, data_hash, scored.clusters, {})).values
            values[made.sha256] = np.array(scored.values)  # type: ignore[index]
        held.append(Entry(made.sha256, msgspec.to_builtins(made.metadata), "consistent", "", told))
    chosen = [registry.task(name) for name in units]
    document = compose(held, units, tasks=chosen, made={})
    assert [row.name for row in document.rows] == ["Tuned 0.8", "Tuned 0.3"]
    for row, entry in zip(document.rows, held[::-1], strict=True):
        for score in entry.scores:
            assert row.scores[score.task].value == score.numbers["value"]
            assert row.skills[score.task] == score.numbers["skills"]
        assert row.average is not None
        # The mean of units is the score: the average of normalised units is that of normalised scores.
        assert row.average.value == pytest.approx(np.mean([score.normalised for score in row.scores.values()]))
    # Five photos that all agree are as likely by chance as 1 in 16: too few to rank by.
    assert document.few
    assert [row.rank for row in document.rows] == [board.Rank(1, 2), board.Rank(1, 2)]
    assert board.from_json(board.to_json(document)) == document
