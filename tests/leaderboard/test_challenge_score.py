"""A response that is scored: an honest encoder, one whose public score is made up, and responses that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lb_challenges import KEY, LATE, SEED, SOON, InMemory, answered, made, my_encoder, response_bytes

from benchmarks.challenge_file import Response, Vectors, write_response
from benchmarks.evaluation import load
from benchmarks.metrics import METRICS
from benchmarks.session import Listener
from benchmarks.types import TaskContext
from fuselip.core.errors import UserError
from leaderboard.challenge import Record
from leaderboard.challenge.compare import PublicTask, gap_of, mean_of, p_value, side_of
from leaderboard.challenge.make import build
from leaderboard.challenge.score import Opened, Outcome, Public, open_response, score, settle


@cache
def public() -> Public:
    """The example's real public scores of the tasks of `made()`."""
    from benchmarks.encoders import adapt
    from benchmarks.evaluation import open_store
    from benchmarks.ranked import ranked
    from benchmarks.session import all_items
    from fuselip.core.embed import embed

    record = made()[1]
    embedder, parts = adapt(my_encoder()), load(["custom"], record.tasks, TaskContext(), Listener())
    with ExitStack() as stack:
        embeddings = embed(embedder, all_items(parts), open_store(embedder, None, False, stack))
    found = {}
    for part in parts:
        units = METRICS[part.spec.metric].units(ranked(embedder, part, embeddings)["model"])
        chance = float(np.mean([each.chance for each in units]))
        found[part.spec.name] = PublicTask([each.value for each in units], [each.cluster for each in units], chance)
    return Public("sub", None, found)


def inflated(share: float, tasks: Sequence[str] = ()) -> Public:
    """The public scores with that share of the units made right."""
    found = {}
    for name, task in public().tasks.items():
        values = [1.0 if at < share * len(task.values) else each for at, each in enumerate(task.values)]
        found[name] = PublicTask(values, task.clusters, task.chance) if not tasks or name in tasks else task
    return Public("sub", None, found)


def settled(store: InMemory, data: bytes, known: Public, now: datetime = SOON) -> Outcome:
    return settle(store, data, lambda _: known, now=now)


def test_an_honest_public_score_is_credible() -> None:
    store = InMemory(made()[1])
    outcome = settled(store, response_bytes(), public())
    assert outcome.credible
    assert "no more than chance explains" in outcome.sentence
    assert outcome.gap is not None
    assert outcome.gap.low < 0 < outcome.gap.high
    assert [each.task for each in outcome.tasks] == list(made()[1].tasks)
    held = store.held[outcome.challenge_id]
    assert held.used_by == "sub"
    assert held.outcome is not None
    assert held.outcome["credible"] is True
    assert outcome.row() == {
        "public": outcome.public.value if outcome.public else None,
        "challenge": outcome.challenge.value,
        "gap": outcome.gap.value,
        "low": outcome.gap.low,
        "high": outcome.gap.high,
    }


def test_a_made_up_public_score_is_not() -> None:
    outcome = settled(InMemory(made()[1]), response_bytes(), inflated(0.9))
    assert outcome.credible is False
    assert "not credible" in outcome.sentence
    assert outcome.gap is not None
    assert outcome.gap.low > 0


def test_one_made_up_task_is_found_among_honest_ones() -> None:
    outcome = settled(InMemory(made()[1]), response_bytes(), inflated(1.0, ["scenes/zero-shot-count"]))
    assert outcome.credible is False
    [odd] = [each.task for each in outcome.tasks if each.p is not None and each.p < 0.05]
    assert odd == "scenes/zero-shot-count"


def test_fresh_questions_that_go_better_are_told_as_such() -> None:
    known = {name: PublicTask([0.0] * 60, [str(at) for at in range(60)], 0.0) for name in made()[1].tasks}
    outcome = score(opened(perfect()), made()[1], Public("sub", None, known))
    assert outcome.credible is False
    assert "went better" in outcome.sentence
    assert outcome.challenge.value == pytest.approx(1.0)


def test_vectors_score_as_their_scores_do() -> None:
    by_scores, by_vectors = (
        score(open_response(response_bytes(send), made()[1], KEY, SOON), made()[1], public())
        for send in ("scores", "embeddings")
    )
    assert by_scores == by_vectors


def test_guessing_is_worth_chance() -> None:
    """Every candidate the same score, and scores by id: both are worth chance, over the tasks."""
    flat = {name: dict.fromkeys(pool, 0.0) for name, pool in pools().items()}
    by_id = {name: {each: int(each, 16) / 2**128 for each in pool} for name, pool in pools().items()}
    for scores, slack in ((flat, 1e-9), (by_id, 0.3)):
        assert abs(score(opened(scores), made()[1]).challenge.value) < slack


def pools() -> dict[str, list[str]]:
    record = made()[1]
    document = build(SEED, record.tasks, record.questions, record.created, record.expires).document
    return {each["id"]: each["candidates"] for each in document["questions"]}


def perfect() -> dict[str, dict[str, float]]:
    record = made()[1]
    built = build(SEED, record.tasks, record.questions, record.created, record.expires)
    scores = {name: dict.fromkeys(pool, 0.0) for name, pool in pools().items()}
    for name, (_, data) in built.tasks.items():
        for query in data.queries:
            for key in query.relevance:
                scores[built.question_ids[name, query.key]][built.candidate_ids[name, key]] = 1.0
    return scores


def changed(**parts: Any) -> Response:
    return msgspec.structs.replace(answered()[0], **parts)


def opened(scores: dict[str, dict[str, float]]) -> Opened:
    return open_response(write_response(changed(scores=scores)), made()[1], KEY, SOON)


def test_a_response_counts_once() -> None:
    store = InMemory(made()[1])
    settled(store, response_bytes(), public())
    before = store.held[made()[1].id]
    with pytest.raises(UserError, match="answered before"):
        settled(store, response_bytes(), public())
    with pytest.raises(UserError, match="answered before"):
        settled(store, write_response(changed(scores=perfect(), submission="other")), public())
    assert store.held[made()[1].id] == before


def test_of_two_at_a_time_one_is_kept() -> None:
    class Late(InMemory):
        """Another process answers while this one scores."""

        def challenge_use(self, id: str, submission: str, outcome: dict[str, Any], now: datetime) -> bool:
            assert super().challenge_use(id, "other", outcome, now)
            return super().challenge_use(id, submission, outcome, now)

    store = Late(made()[1])
    with pytest.raises(UserError, match="answered before"):
        settled(store, response_bytes(), public())
    assert store.held[made()[1].id].used_by == "other"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"challenge": "0" * 32}, "not one of this server's"),
        ({"signature": "0" * 64}, "forged"),
        ({"submission": ""}, "names no submission"),
    ],
)
def test_a_forged_or_stray_response_is_refused_and_uses_nothing_up(parts: dict[str, Any], told: str) -> None:
    store = InMemory(made()[1])
    with pytest.raises(UserError, match=told):
        settled(store, write_response(changed(**parts)), public())
    assert store.held[made()[1].id].used_by is None


def test_a_late_response_is_refused() -> None:
    with pytest.raises(UserError, match="expired at 2026-01-02T12:00:00Z"):
        settled(InMemory(made()[1]), response_bytes(), public(), LATE)


def test_a_signature_holds_for_one_challenge_alone() -> None:
    """A record whose expiry or questions were changed, or another server's key: the old signature fits none of them."""
    record = made()[1]
    values = {name: getattr(record, name) for name in Record.__struct_fields__}
    for changes in ({"expires": "2027-01-01T00:00:00Z"}, {"content": "0" * 64}):
        with pytest.raises(UserError, match="forged"):
            open_response(response_bytes(), Record(**{**values, **changes}), KEY, SOON)
    with pytest.raises(UserError, match="forged"):
        open_response(response_bytes(), record, b"x" * 32, SOON)


def test_scores_must_be_of_these_questions() -> None:
    right = answered()[0].scores
    name = next(iter(right))
    for scores, told in (
        ({key: each for key, each in right.items() if key != name}, "questions"),
        ({**right, "0" * 32: {}}, "questions"),
        ({**right, name: {}}, "its .* candidates"),
        ({**right, name: {**right[name], "0" * 32: 1.0}}, "its .* candidates"),
    ):
        with pytest.raises(UserError, match=told):
            score(opened(scores), made()[1])
    for value in (float("inf"), float("nan")):
        response = changed(scores={**right, name: dict.fromkeys(right[name], value)})
        with pytest.raises(UserError, match="finite"):
            score(Opened(response, None), made()[1])


def test_vectors_must_fit_the_questions() -> None:
    response, vectors = answered("embeddings")
    assert vectors is not None
    for wrong in (
        Vectors(vectors.questions[1:], vectors.candidates),
        Vectors(vectors.questions[:, 1:], vectors.candidates),
        Vectors(np.full_like(vectors.questions, np.nan), vectors.candidates),
    ):
        data = write_response(response, wrong)
        with pytest.raises(UserError, match="the response"):
            score(open_response(data, made()[1], KEY, SOON), made()[1])


def test_an_encoder_without_a_fingerprint_may_be_another_one() -> None:
    outcome = settled(InMemory(made()[1]), response_bytes(), public())
    assert (outcome.credible, outcome.same_encoder) == (True, None)
    assert "Fresh questions agree; the encoder declares no fingerprint" in outcome.sentence
    told = changed(encoder=msgspec.structs.replace(answered()[0].encoder, fingerprint="a" * 64))
    outcome = settled(InMemory(made()[1]), write_response(told), replace(public(), fingerprint="a" * 64))
    assert (outcome.credible, outcome.same_encoder) == (True, True)
    assert "The public score is credible." in outcome.sentence


def test_another_encoder_cannot_answer() -> None:
    told = changed(encoder=msgspec.structs.replace(answered()[0].encoder, fingerprint="a" * 64))
    with pytest.raises(UserError, match="answer with the encoder that was submitted"):
        settled(InMemory(made()[1]), write_response(told), public())


def test_without_public_tasks_there_is_nothing_to_compare() -> None:
    outcome = score(opened(answered()[0].scores), made()[1])
    assert (outcome.gap, outcome.credible, outcome.row()) == (None, None, None)
    with pytest.raises(UserError, match="no public score"):
        settled(InMemory(made()[1]), response_bytes(), Public("sub", None, {}))


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_of_a_gap_holds_it_and_is_mirrored(first: int, second: int) -> None:
    one, two = (
        side_of(PublicTask([1.0] * right + [0.0] * (40 - right), [str(at) for at in range(40)], 0.25), "x")
        for right in (first, second)
    )
    gap, back = gap_of(one, two), gap_of(two, one)
    assert gap.low < gap.value < gap.high
    assert (back.low, back.high) == pytest.approx((-gap.high, -gap.low))
    assert (p_value(gap) < 0.05) == (not gap.low <= 0 <= gap.high)


def test_newcombe_by_hand() -> None:
    """Newcombe (1998), Statistics in Medicine 17, 873: 56/70 against 48/80 gives 0.2 [0.0524, 0.3339] (method 10)."""
    sides = [
        side_of(PublicTask([1.0] * right + [0.0] * (n - right), [str(at) for at in range(n)], 0.0), "x")
        for right, n in ((56, 70), (48, 80))
    ]
    gap = gap_of(*sides)
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.slow
def test_honest_encoders_are_doubted_about_as_often_as_told() -> None:
    """Both sides drawn from one encoder: over 200 draws at most some 5% of gaps leave 0 out."""
    rng, doubted = np.random.default_rng(0), 0
    for _ in range(200):
        skill = rng.uniform(0.3, 0.95, 6)
        sides = []
        for count in (48, 24):
            tasks = {}
            for task, share in enumerate(skill):
                easy = np.repeat(rng.uniform(-0.2, 0.2, count // 2), 2)  # two questions a picture, alike
                values = (rng.uniform(size=count) < np.clip(share + easy, 0, 1)).astype(float).tolist()
                tasks[str(task)] = PublicTask(values, [str(at // 2) for at in range(count)], 0.25)
            sides.append(mean_of(tasks))
        gap = gap_of(*sides)
        doubted += not gap.low <= 0 <= gap.high
    assert doubted <= 16
