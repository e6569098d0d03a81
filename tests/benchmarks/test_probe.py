"""The linear probe: learns real digits, learns nothing from shuffled labels, keeps classes apart by key."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from benchmarks import probe
from benchmarks.metrics import METRICS
from benchmarks.types import Candidate, Prediction, Query, TaskData
from fuselip.core.errors import UserError
from fuselip.core.types import Input


@lru_cache(maxsize=1)
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels [1797, 64] and labels of scikit-learn's handwritten digits."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.data - loaded.data.mean(), loaded.target


def task(labels: np.ndarray, training: np.ndarray, classes: int = 10) -> TaskData:
    """Queries and training examples are named by number; their vectors are handed over beside."""
    return TaskData(
        tuple(Query(str(n), Input(f"query {n}"), {f"class {label}": 1.0}) for n, label in enumerate(labels)),
        {f"class {label}": Candidate(f"class {label}", (Input(f"class {label}"),)) for label in range(classes)},
        training=tuple((Input(f"example {n}"), f"class {label}") for n, label in enumerate(training)),
    )


def hit(predictions: list[Prediction], metric: str = "hit@1") -> float:
    return float(np.mean([unit.value for unit in METRICS[metric].units(predictions)]))


def test_learns_digits() -> None:
    vectors, labels = digits()
    data = task(labels[600:1200], labels[:600])
    found = probe.predictions(data, vectors[:600], vectors[600:1200])
    assert [row.query for row in found] == [query.key for query in data.queries]
    assert 0.9 < hit(found) < 1
    assert hit(found, "hit@5") > 0.98


def test_shuffled_labels_teach_nothing() -> None:
    vectors, labels = digits()
    shuffled = np.random.default_rng(0).permutation(labels[:100])
    found = probe.predictions(task(labels[100:600], shuffled), vectors[:100], vectors[100:600])
    assert hit(found) < 0.2


def test_collapsed_vectors_score_chance() -> None:
    labels = np.arange(200) % 10
    found = probe.predictions(task(labels, labels[:100]), np.ones((100, 8)), np.ones((200, 8)))
    assert hit(found) == pytest.approx(0.1)


def test_two_classes() -> None:
    vectors, labels = digits()
    two = labels < 2
    vectors, labels = vectors[two], labels[two]
    data = task(labels[50:], labels[:50], classes=2)
    found = probe.predictions(data, vectors[:50], vectors[50:])
    assert hit(found) > 0.95
    assert found == probe.predictions(data, vectors[:50], vectors[50:])
    longer = probe.predictions(data, 7 * vectors[:50], vectors[50:])  # only directions count
    assert hit(longer) == pytest.approx(hit(found), abs=0.01)


def test_a_class_without_examples_stands_last() -> None:
    vectors, labels = digits()
    known = np.flatnonzero(labels[:300] != 9)
    data = task(labels[300:500], labels[known])
    for row in probe.predictions(data, vectors[known], vectors[300:500]):
        assert row.top[-1][0] == "class 9"
        if row.targets[0].key == "class 9":
            assert (row.targets[0].above, row.targets[0].tied) == (9, 0)


def test_classes_of_one_content_are_one_bundle() -> None:
    vectors, labels = digits()
    data = task(labels[300:500], labels[:300])
    alike = {
        key: Candidate(key, (Input("same"),)) if key in ("class 3", "class 4") else each
        for key, each in data.candidates.items()
    }
    found = probe.predictions(TaskData(data.queries, alike, training=data.training), vectors[:300], vectors[300:500])
    assert {row.pool for row in found} == {9}
    assert max(METRICS["hit@1"].units([row])[0].value for row in found if labels[300 + int(row.query)] == 3) == 0.5


def test_strength_is_chosen_by_what_is_held_out() -> None:
    vectors, labels = digits()
    small = np.concatenate([np.flatnonzero(labels == label)[:4] for label in range(3)])
    assert probe.choose(vectors[small], labels[small]) == 1.0  # nothing to hold out
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = probe.choose(unit[:400], labels[:400])
    assert chosen in probe.STRENGTHS
    scores = {
        strength: np.mean(probe.decide(unit[:400], labels[:400], unit[400:], strength).argmax(1) == labels[400:])
        for strength in (chosen, min(probe.STRENGTHS))
    }
    assert scores[chosen] >= scores[min(probe.STRENGTHS)]


def test_bad_input() -> None:
    labels = np.arange(20) % 2
    vectors = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(UserError, match="NaN or infinity for input"):
        probe.predictions(task(labels, labels), np.full((20, 4), np.nan), vectors)
    with pytest.raises(UserError, match=r"shape \(19, 4\) for 20 inputs"):
        probe.predictions(task(labels, labels), vectors[:19], vectors)
    with pytest.raises(UserError, match="at least two classes"):
        probe.predictions(task(labels, np.zeros(20, int)), vectors, vectors)
    with pytest.raises(ValueError, match="class 5"):
        probe.predictions(task(labels, np.full(20, 5), classes=2), vectors, vectors)
