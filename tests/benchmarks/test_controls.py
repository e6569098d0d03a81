"""Controls: constant is exactly chance, random is chance on average, the oracle cannot be beaten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_cases import ask, candidates, data_of

from benchmarks import controls
from benchmarks.metrics import METRICS
from benchmarks.types import Prediction, Query, TaskData
from fuselip.core.types import ImageRef, Input, Operation

SCENE = ImageRef("", (Operation.of("scene", seed=1),))


@st.composite
def tasks(draw: st.DrawFn) -> TaskData:
    """Small and whole-gallery pools with copies, several answers, grades of zero and excluded candidates."""
    keys = [f"c{number}" for number in range(draw(st.integers(1, 8)))]
    texts = {key: f"text {draw(st.integers(0, 4))}" for key in keys}
    queries = []
    for number in range(draw(st.integers(1, 5))):
        pool = draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
        answers = draw(st.lists(st.sampled_from(pool), min_size=1, unique=True))
        grades = {key: draw(st.sampled_from([0, 1, 2])) for key in answers} | {answers[0]: 1}
        whole = draw(st.booleans())
        others = sorted(set(keys if whole else pool) - set(answers))
        exclude = frozenset(draw(st.lists(st.sampled_from(others)))) if others else frozenset()
        queries.append(ask(f"q{number}", grades, None if whole else pool, exclude=exclude))
    return data_of(texts, *queries)


def mean(predictions: list[Prediction], name: str) -> float:
    return float(np.mean([METRICS[name].per_query(prediction) for prediction in predictions]))


@settings(max_examples=100, deadline=None)
@given(tasks())
def test_constant_scores_chance_exactly_and_the_oracle_the_best_possible(data: TaskData) -> None:
    found = controls.predictions(data)
    for row, best, blind in zip(found["constant"], found["oracle"], found["random"], strict=True):
        for name in ("hit@1", "hit@5", "mrr"):
            chance = METRICS[name].chance(row)
            assert METRICS[name].per_query(row) == chance
            assert METRICS[name].chance(best) == chance == METRICS[name].chance(blind)
            assert METRICS[name].per_query(best) == pytest.approx(max(target.gain for target in row.targets))


def test_random_is_at_chance_over_many_seeds_and_depends_on_nothing_but_content() -> None:
    texts = {f"c{number}": f"text {number % 7}" for number in range(9)}
    data = data_of(texts, *(ask(f"q{number}", {f"c{number}": 1}) for number in range(9)))
    chance = mean(controls.constant(data), "hit@1")
    scores = [mean(controls.random(data, seed=seed), "hit@1") for seed in range(300)]
    assert np.mean(scores) == pytest.approx(chance, abs=4 * np.std(scores) / np.sqrt(300))
    assert np.std(scores) > 0
    backwards = TaskData(data.queries[::-1], dict(reversed(data.candidates.items())))
    assert [row.targets for row in controls.random(backwards)[::-1]] == [row.targets for row in controls.random(data)]


def test_the_oracle_is_below_perfect_where_copies_cannot_be_told_apart() -> None:
    data = data_of({"a": "same", "b": "same", "c": "other"}, ask("q", {"a": 1}))
    assert mean(controls.oracle(data), "hit@1") == 0.5


def mixed(*inputs: Input) -> TaskData:
    queries = tuple(Query(f"q{number}", given, {"a": 1}) for number, given in enumerate(inputs))
    return TaskData(queries, candidates({"a": "a", "b": "b"}))


def test_variants_are_asked_where_there_is_something_to_strip() -> None:
    both, text, image = Input("turn left", SCENE), Input("a dog"), Input(image=SCENE)
    assert set(controls.query_variants(mixed(text, image))) == {"model"}
    variants = controls.query_variants(mixed(both, text))
    assert [query.input for query in variants["image_only"]] == [image, text]
    assert [query.input for query in variants["text_only"]] == [Input("turn left"), text]
    assert [query.key for query in variants["image_only"]] == ["q0", "q1"]
    with pytest.raises(ValueError, match="'image' or 'text'"):
        controls.stripped((), "sound")
