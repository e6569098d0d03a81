"""Verification: honest submissions agree in every number, and every edit is refused with the first difference."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from lb_bundles import make_bundle, make_metadata, make_run
from scoring_cases import ask, data_of

from benchmarks import controls, predictions
from benchmarks.encoders.baselines import Constant
from benchmarks.evaluation import evaluate
from benchmarks.predictions import PredictionFile
from benchmarks.results import numbers, result_from_json, summarise
from benchmarks.score import TIE, rank
from benchmarks.types import Prediction, Result, TaskData, TaskSpec
from fuselip.core.files import read_json
from leaderboard import bundle as bundles
from leaderboard import metadata
from leaderboard.again import Again
from leaderboard.answers import Book, Known, known_of
from leaderboard.bundle import Bundle, TaskFiles
from leaderboard.cli import main
from leaderboard.types import Badge
from leaderboard.verify import check_task, verify

TASKS = ("tgit/rotate", "scenes/vqa-color", "scenes/winoground", "scenes/paraphrase-itt", "digits/linear-probe")
SPEC = TaskSpec("made/up", 3, "nowhere:load", "a test", also=("hit@5", "mrr", "strict@1"))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return Book(tmp_path_factory.mktemp("sheets"))


def opened(run: Path, encoder: dict[str, Any] | None = None) -> Bundle:
    """A run as its bundle would be, without the zip."""
    tasks = {}
    for path in sorted(run.glob("tasks/*/result.json")):
        claim = result_from_json(read_json(path), path)
        file = predictions.read(path.parent / "predictions.parquet")
        kept = {name: rows for name, rows in file.variants.items() if name in bundles.VARIANTS}
        tasks[claim.name] = TaskFiles(claim, lambda file=file, kept=kept: PredictionFile(file.header, kept))  # type: ignore[misc]
    about, faults = metadata.parse(make_metadata())
    assert about is not None, faults
    config = read_json(run / "run.json")["config"]
    return Bundle("0" * 64, about, encoder or {"fingerprint": "f"}, config, {}, "core", tasks, {})


def agrees(found: Bundle, book: Book) -> Any:
    verdict = verify(found, book)
    assert verdict.faults == []
    assert set(verdict.scored) == set(found.tasks)
    for name, scored in verdict.scored.items():
        claim = found.tasks[name].claim
        for field in ("value", "low", "high", "interval", "chance", "n", "clusters", "metrics", "skills"):
            assert getattr(scored.numbers, field) == getattr(claim, field), (name, field)
        assert scored.numbers.controls == pytest.approx(claim.controls, abs=0.05)
        assert np.mean(scored.values) == pytest.approx(claim.value)
        assert len(scored.keys) == len(scored.clusters) == len(scored.values) == claim.n
    return verdict


def test_a_packed_bundle_agrees(tmp_path: Path, book: Book) -> None:
    found = bundles.read(make_bundle(tmp_path))
    verdict = agrees(found, book)
    assert verdict.badge is Badge.CONSISTENT
    assert verdict.flags == ["no fingerprint: the encoder does not say what its outputs depend on"]
    assert verdict.notes == []


@pytest.mark.slow
def test_runs_of_all_kinds_of_task_agree(tmp_path: Path, book: Book) -> None:
    assert agrees(opened(make_run(tmp_path / "a", 0.5, 0, TASKS)), book).flags == []
    assert agrees(opened(make_run(tmp_path / "b", 1.0, 1, TASKS)), book).notes == []


@pytest.mark.parametrize("tasks", [("tgit/crop", "tgit/flip"), pytest.param(TASKS, marks=pytest.mark.slow)])
def test_ties_and_collapse_agree_and_are_flagged(tmp_path: Path, book: Book, tasks: tuple[str, ...]) -> None:
    tied = agrees(opened(make_run(tmp_path / "a", 0.5, 0, tasks, truncate_dim=6, quantise="binary")), book)
    assert any(flag.startswith("ties: ") for flag in tied.flags)
    evaluate(Constant(), "core", tasks=tasks, output=tmp_path / "b", cache=False, shared=False)
    collapsed = agrees(opened(tmp_path / "b"), book)
    told = f"collapse: all scores are tied on {len(tasks)} of {len(tasks)} tasks ({min(tasks)}, "
    assert collapsed.flags[0].startswith(told)
    assert all(scored.numbers.value == pytest.approx(scored.numbers.chance) for scored in collapsed.scored.values())


@pytest.mark.slow
def test_a_whole_suite_agrees(tmp_path: Path, book: Book) -> None:
    evaluate("random", "core", output=tmp_path / "run", cache=False, shared=False)
    assert len(agrees(opened(tmp_path / "run"), book).scored) == 49


# A task made for the purpose: edits are made to what an honest run of it says.


def task_of(num_candidates: int, num_queries: int = 24) -> TaskData:
    texts = {f"c{number:03}": f"answer {number}" for number in range(num_candidates)}
    keys = list(texts)
    return data_of(
        texts,
        *(
            ask(f"q{n:02}", dict.fromkeys((keys[(7 * n) % len(keys)], keys[(7 * n + 3) % len(keys)]), 1),
                cluster=f"image {n // 2}", tags={"angle": n % 3})
            for n in range(num_queries)
        ),
    )  # fmt: skip


def honest(data: TaskData, scores: np.ndarray) -> tuple[Known, Result, PredictionFile]:
    """What a run says whose scores are these, float [queries, contents]."""
    contents = controls.data_contents(data)
    found = {"model": rank(data.queries, data, scores, contents, np.eye(len(contents)))}
    result = summarise(SPEC, data, found | controls.predictions(data), seconds=1.0)
    header = {"task": SPEC.name, "version": "3", "data_hash": data.data_hash}
    return known_of(SPEC, data), result, PredictionFile(header, found)


@cache
def small() -> tuple[Known, Result, PredictionFile]:
    data = task_of(8)
    return honest(data, np.random.default_rng(1).standard_normal((len(data.queries), 8)))


def edited(file: PredictionFile, change: Callable[[Prediction], Prediction], index: int = 5) -> PredictionFile:
    rows = list(file.variants["model"])
    rows[index] = change(rows[index])
    return PredictionFile(file.header, {"model": rows})


def swap_scores(row: Prediction, one: int, two: int) -> tuple[tuple[str, float], ...]:
    """The list in falling order again, after two candidates have changed scores."""
    top = list(row.top)
    top[one], top[two] = (top[one][0], top[two][1]), (top[two][0], top[one][1])
    return tuple(sorted(top, key=lambda pair: -pair[1]))


def target(row: Prediction, **changes: Any) -> Prediction:
    return replace(row, targets=(replace(row.targets[0], **changes), *row.targets[1:]))


def answer_place(row: Prediction) -> int:
    return [key for key, _ in row.top].index(row.targets[0].key)


def test_the_made_task_agrees() -> None:
    known, claim, file = small()
    checked = check_task(known, claim, file)
    assert checked.faults == [] == checked.notes
    assert checked.scored is not None
    assert checked.scored.variants["model"] == sorted(file.variants["model"], key=lambda row: row.query)
    assert {name: getattr(checked.scored.numbers, name) for name in ("value", "metrics", "controls", "audit")} == {
        name: getattr(claim, name) for name in ("value", "metrics", "controls", "audit")
    }


EDITS: dict[str, tuple[Callable[[Prediction], Prediction], str]] = {
    "rank": (lambda r: target(r, above=r.targets[0].above + 1), "says of its answers that"),
    "tied": (lambda r: target(r, tied=1), "says of its answers that"),
    "gain": (lambda r: target(r, gain=0.5), r"answers\.c\d+: says 0.5, computed 1.0"),
    "answer swapped": (lambda r: target(r, key="c000"), r"answers\.c"),
    "answer dropped": (lambda r: replace(r, targets=r.targets[:1]), r"answers\.c\d+: says None, computed 1.0"),
    "answers dropped": (lambda r: replace(r, targets=()), "answers"),
    "answer twice": (lambda r: replace(r, targets=r.targets[:1] * 2), "an answer is listed twice"),
    "score nudged": (lambda r: replace(r, top=swap_scores(r, answer_place(r), answer_place(r) - 1)), "its scores"),
    "order of others": (lambda r: replace(r, top=(r.top[1], r.top[0], *r.top[2:])), "lists 'c.*' in place 1, where"),
    "outside": (lambda r: replace(r, top=(("c999", 1.0), *r.top[1:])), "candidate 'c999' is not in its pool"),
    "candidate twice": (lambda r: replace(r, top=(r.top[0], *r.top[:-1])), "lists candidate 'c.*' twice"),
    "candidate dropped": (lambda r: replace(r, top=r.top[:-1]), "lists 7 candidates of a pool of 8"),
    "none listed": (lambda r: replace(r, top=()), "lists 0 candidates"),
    "truncated": (lambda r: replace(r, truncated=True), "truncated: says True"),
    "pool": (lambda r: replace(r, pool=9), "pool: says 9, computed 8"),
    "cluster": (lambda r: replace(r, cluster="other"), "cluster: says 'other', computed 'image 2'"),
    "group": (lambda r: replace(r, group="g"), "group: says 'g', computed ''"),
    "tags": (lambda r: replace(r, tags={"angle": 0}), "tags.angle: says 0, computed 2"),
    "more tags": (lambda r: replace(r, tags={**r.tags, "x": 1}), "tags.x: says 1, computed None"),
    "huge tag": (lambda r: replace(r, tags={"angle": 10**400}), "beyond all range"),
    "not finite": (lambda r: replace(r, top=((r.top[0][0], float("nan")), *r.top[1:])), "is not finite"),
    "infinite": (lambda r: replace(r, top=((r.top[0][0], float("inf")), *r.top[1:])), "is not finite"),
    "query": (lambda r: replace(r, query="q99"), "query 'q99' is not of this task"),
    "query doubled": (lambda r: replace(r, query="q06"), "query 'q06' is answered 2 times"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_row_is_refused(name: str) -> None:
    known, claim, file = small()
    change, message = EDITS[name]
    checked = check_task(known, claim, edited(file, change))
    assert checked.scored is None
    (fault,) = checked.faults
    assert fault.where == "made/up, model"
    assert re.search(message, fault.what), fault.what


def test_a_dropped_query_is_refused() -> None:
    known, claim, file = small()
    rows = file.variants["model"]
    (fault,) = check_task(known, claim, PredictionFile(file.header, {"model": rows[:5] + rows[6:]})).faults
    assert fault.what == "query 'q05' is not answered, nor are 0 others"
    (fault,) = check_task(known, claim, PredictionFile(file.header, {})).faults
    assert "no predictions of variant model" in fault.what


def test_scores_and_ranks_edited_together_leave_the_claim() -> None:
    """Scores and ranks that fit each other, as a forger would make them: then the claimed numbers do not follow."""
    known, claim, file = small()
    data = task_of(8)
    scores = np.random.default_rng(1).standard_normal((len(data.queries), 8))
    scores[5:9] = -scores[5:9]
    _, better, forged = honest(data, scores)
    (fault,) = check_task(known, claim, forged).faults
    assert fault.where == "made/up, result.json"
    assert ": says " in fault.what
    assert check_task(known, better, forged).faults == []
    assert check_task(known, better, file).faults != []


CLAIMS: dict[str, tuple[Callable[[Result], Result], str]] = {
    "value": (lambda r: replace(r, value=0.99), "value: says 0.99"),
    "low": (lambda r: replace(r, low=r.low + 1e-6), "low: says"),
    "high": (lambda r: replace(r, high=r.high - 1e-6), "high: says"),
    "method": (lambda r: replace(r, interval="exact"), "interval: says 'exact'"),
    "chance": (lambda r: replace(r, chance=0.0), "chance: says 0.0"),
    "n": (lambda r: replace(r, n=25), "n: says 25, computed 24"),
    "clusters": (lambda r: replace(r, clusters=24), "clusters: says 24, computed 12"),
    "metric": (lambda r: replace(r, metrics={**r.metrics, "mrr": {**r.metrics["mrr"], "value": 1.0}}), "metrics.mrr.v"),
    "no metric": (lambda r: replace(r, metrics={"hit@1": r.metrics["hit@1"]}), r"metrics.hit@5: says None"),
    "huge": (lambda r: replace(r, n=10**400), "beyond all range"),
    "nan": (lambda r: replace(r, value=float("nan")), "value: says nan"),
    "control": (lambda r: replace(r, controls={**r.controls, "constant": 0.0}), "controls.constant: says 0.0"),
    "audit": (lambda r: replace(r, audit={**r.audit, "needs_fusion": True}), "audit.needs_fusion: says True"),
    "skills": (lambda r: replace(r, skills={}), "skills.angle: says None"),
    "composition": (lambda r: replace(r, composition={"gap": 1.0}), "composition.gap: says 1.0"),
    "name": (lambda r: replace(r, name="tgit/crop"), "result.json.name: says 'tgit/crop', computed 'made/up'"),
    "version": (lambda r: replace(r, version=4), "result.json.version"),
    "main metric": (lambda r: replace(r, metric="hit@5"), "result.json.metric: says 'hit@5', computed 'hit@1'"),
    "data hash": (lambda r: replace(r, data_hash="0" * 64), "result.json.data_hash"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_an_edited_claim_is_refused(name: str) -> None:
    known, claim, file = small()
    change, message = CLAIMS[name]
    checked = check_task(known, change(claim), file)
    assert checked.scored is None
    (fault,) = checked.faults
    assert message in fault.what


def test_the_header_of_another_task_is_refused() -> None:
    known, claim, file = small()
    for key in ("task", "version", "data_hash"):
        other = PredictionFile({**file.header, key: "7"}, file.variants)
        (fault,) = check_task(known, claim, other).faults
        assert fault.what.startswith(f"the header of the predictions.{key}: says '7'")


def test_what_a_stranger_wrote_is_shown_short_and_plain() -> None:
    known, claim, file = small()
    (fault,) = check_task(known, claim, edited(file, lambda r: replace(r, query="\x1b[2J\n" + "x" * 9999))).faults
    assert len(fault.what) < 500
    assert fault.what.isprintable()


@settings(max_examples=60)
@given(st.data())
def test_any_scores_agree_and_any_changed_rank_is_seen(draw: st.DataObject) -> None:
    """Scores on a coarse grid, so that many tie: ranked again they are the same; after a swap, as counted."""
    data, known = tiny()
    grid = st.lists(st.integers(0, 3), min_size=6, max_size=6)
    contents = controls.data_contents(data)
    rows = rank(data.queries, data, [draw.draw(grid) for _ in data.queries], contents, np.eye(6))
    again = Again(known)
    assert [again.check(row) for row in rows] == [""] * len(rows)
    assert again.ranked == again.stated == rows
    one, two = draw.draw(st.lists(st.integers(0, 5), min_size=2, max_size=2, unique=True))
    changed = replace(rows[1], top=swap_scores(rows[1], one, two))
    scores = dict(changed.top)
    counted = {
        each.key: (
            sum(value > scores[each.key] + TIE for value in scores.values()),
            sum(abs(value - scores[each.key]) <= TIE for value in scores.values()) - 1,
        )
        for each in changed.targets
    }
    wrong = again.check(changed)
    if {each.key: (each.above, each.tied) for each in changed.targets} != counted:
        assert wrong
    if not wrong:
        assert {each.key: (each.above, each.tied) for each in again.ranked[-1].targets} == counted


@cache
def tiny() -> tuple[TaskData, Known]:
    data = task_of(6, 4)
    return data, known_of(SPEC, data)


# A gallery of more candidates than a run lists.


def large(scores: Callable[[TaskData], np.ndarray]) -> tuple[Known, Result, PredictionFile]:
    data = task_of(160)
    return honest(data, scores(data))


def test_a_cut_list_agrees_and_what_it_hides_counts_as_last() -> None:
    known, claim, file = large(lambda data: np.random.default_rng(2).standard_normal((len(data.queries), 160)))
    assert all(row.truncated for row in file.variants["model"])
    checked = check_task(known, claim, file)
    assert checked.faults == []
    assert checked.scored is not None
    ours = checked.scored.numbers
    assert (ours.value, ours.low, ours.high) == (claim.value, claim.low, claim.high)
    assert ours.metrics["hit@5"] == claim.metrics["hit@5"]
    hidden = [
        (row, again)
        for row, again in zip(file.variants["model"], checked.scored.variants["model"], strict=True)
        if not {each.key for each in row.targets} <= {key for key, _ in row.top}
    ]
    assert hidden
    for row, again in hidden:
        listed = {key for key, _ in row.top}
        last = [each for each in again.targets if each.key not in listed]
        assert {(each.above, each.tied) for each in last} == {(160 - len(last), len(last) - 1)}
        assert [each for each in again.targets if each.key in listed] == [e for e in row.targets if e.key in listed]
    assert ours.metrics["mrr"]["value"] <= claim.metrics["mrr"]["value"] < ours.metrics["mrr"]["value"] + 0.01


def test_a_collapsed_gallery_is_at_chance() -> None:
    known, claim, file = large(lambda data: np.ones((len(data.queries), 160)))
    checked = check_task(known, claim, file)
    assert checked.faults == [] == checked.notes
    assert checked.scored is not None
    assert checked.scored.numbers.value == pytest.approx(checked.scored.numbers.chance)


def test_a_tie_at_the_end_of_a_cut_list_may_go_on() -> None:
    """Fifty clear candidates, then one tie: its answers get the worst that the list leaves open."""

    def scores(data: TaskData) -> np.ndarray:
        found = np.full((len(data.queries), 160), 0.2)
        found[:, np.random.default_rng(3).permutation(160)[:50]] = np.linspace(0.3, 0.9, 50)
        return found

    known, claim, file = large(scores)
    checked = check_task(known, claim, file)
    assert checked.faults == []
    assert checked.scored is not None
    for row, again in zip(file.variants["model"], checked.scored.variants["model"], strict=True):
        listed = {key for key, _ in row.top}
        missing = sum(each.key not in listed for each in row.targets)
        for each in again.targets:
            if each.key in listed and each.above >= 50:
                assert (each.above, each.tied) == (50, 160 - 1 - 50 - missing)
    assert checked.scored.numbers.value <= claim.value


@pytest.mark.parametrize("above", [0, 60])
def test_a_hidden_answer_cannot_be_ranked_on_the_list(above: int) -> None:
    known, claim, file = large(lambda data: np.random.default_rng(2).standard_normal((len(data.queries), 160)))
    index = next(index for index, row in enumerate(file.variants["model"]) if row.targets[0].key not in dict(row.top))
    (fault,) = check_task(known, claim, edited(file, lambda r: target(r, above=above), index)).faults
    assert "not among the best candidates" in fault.what


def test_other_data_is_refused(tmp_path: Path, book: Book) -> None:
    found = opened(make_run(tmp_path / "run", tasks=("tgit/flip", "tgit/colorize"), limit=2))
    verdict = verify(found, book)
    assert [fault.where for fault in verdict.faults] == ["tgit/colorize", "tgit/flip"]
    assert "other questions" in verdict.faults[0].what
    assert verdict.scored == {}
    assert verdict.badge is None


def test_scores_beyond_a_cosine_are_flagged(tmp_path: Path, book: Book) -> None:
    """Scores times 1000 rank and score the same: possible, and odd."""
    run = opened(make_run(tmp_path / "run"))
    name = "tgit/crop"
    file = run.tasks[name].predictions
    scaled = {
        variant: [replace(row, top=tuple((key, 1000 * value) for key, value in row.top)) for row in rows]
        for variant, rows in file.variants.items()
    }
    tasks = {**run.tasks, name: TaskFiles(run.tasks[name].claim, lambda: PredictionFile(file.header, scaled))}
    verdict = verify(replace(run, tasks=tasks), book)
    assert verdict.faults == []
    assert [flag.partition(":")[0] for flag in verdict.flags] == ["scores"]
    assert "(tgit/crop)" in verdict.flags[0]


def test_a_run_that_swapped_pictures_agrees(tmp_path: Path, book: Book) -> None:
    found = opened(make_run(tmp_path / "run", swap=True))
    assert "swapped_image" in found.tasks["tgit/crop"].claim.audit["unimodal"]
    assert verify(found, book).faults == []


def test_the_numbers_are_those_of_the_library(tmp_path: Path, book: Book) -> None:
    """With all variants at hand, the library's own function gives what we keep."""
    run = make_run(tmp_path / "run")
    scored = verify(opened(run), book).scored["tgit/crop"]
    file = predictions.read(run / "tasks/tgit__crop/predictions.parquet")
    assert numbers("hit@1", file.variants, "tgit/crop", scored.sheet.also) == scored.numbers


def invoke(arguments: Sequence[str]) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


def test_the_command(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    code, text = invoke(["verify", str(path)])
    assert code == 0, text
    assert "tgit/crop: hit@1 " in text
    assert text.endswith("badge: consistent\n")
    code, text = invoke(["verify", str(path), "--json"])
    told = json.loads(text)
    assert (code, told["badge"], told["faults"], told["rerun"]) == (0, "consistent", [], None)
    other = make_bundle(tmp_path / "other", name="Copy")
    code, text = invoke(["verify", str(path), "--against", str(other)])
    assert code == 1
    assert text.endswith("refused\n")
    assert "a copy of Copy" in text
    assert invoke(["verify", str(path), "--rerun", "5"])[0] == 2
