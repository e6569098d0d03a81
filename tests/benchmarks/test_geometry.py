"""Geometry of embeddings, against configurations whose numbers are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.geometry import alignment, effective_rank, geometry, lines, uniformity
from benchmarks.score import unit


def cloud(seed: int, rows: int, dim: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((rows, dim)))


def test_the_gap_is_the_distance_of_the_means() -> None:
    found = geometry({"image": np.array([[2.0, 0], [3, 0]]), "text": np.array([[0, 1.0]]), "image+text": np.eye(2)})
    assert found["gap"]["image | text"] == pytest.approx(np.sqrt(2))
    assert found["gap"]["image | image+text"] == pytest.approx(np.sqrt(0.5))
    assert found["count"] == {"image": 2, "image+text": 2, "text": 1}
    assert found["uniformity"]["text"] is None
    assert found["alignment"] is None


def test_uniformity_of_known_points() -> None:
    assert uniformity(np.tile([[1.0, 0]], (5, 1))) == pytest.approx(0)
    assert uniformity(np.array([[1.0, 0], [-1, 0]])) == pytest.approx(-8)
    assert uniformity(np.array([[1.0, 0], [0, 0]])) == pytest.approx(-2)  # no direction: at the centre
    assert uniformity(np.eye(3)[:1]) is None
    # In many dimensions nearly all pairs are at a right angle: exp(-2 * 2).
    assert uniformity(cloud(0, 500, 512)) == pytest.approx(-4, abs=0.05)


def test_alignment_of_known_pairs() -> None:
    east, north = np.tile([[2.0, 0]], (3, 1)), np.tile([[0, 5.0]], (3, 1))
    assert alignment(east, 7 * east) == pytest.approx(0)
    assert alignment(east, north) == pytest.approx(2)
    assert alignment(east, -east) == pytest.approx(4)
    with pytest.raises(ValueError, match="one answer each"):
        alignment(east, north[:2])


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_effective_rank_counts_equal_directions(rank: int) -> None:
    assert effective_rank(np.repeat(np.eye(8)[:rank], 4, axis=0)) == pytest.approx(rank)
    assert effective_rank(np.zeros((4, 8))) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 20))
def test_neither_rotation_nor_length_changes_anything(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    images, texts = cloud(seed, 12, 6), cloud(seed + 1, 9, 6)
    turn = np.linalg.qr(numbers.standard_normal((6, 6)))[0]
    scale = numbers.uniform(0.5, 2, (9, 1))
    before = geometry({"image": images, "text": texts}, images[:9], texts)
    after = geometry({"image": images @ turn, "text": scale * texts @ turn}, images[:9] @ turn, scale * texts @ turn)
    for name in ("gap", "uniformity", "effective_rank", "alignment"):
        assert after[name] == pytest.approx(before[name], abs=1e-4)


def test_many_vectors_are_sampled_the_same_each_time() -> None:
    rows = cloud(0, 5000, 8)
    found = geometry({"image": rows})
    assert found == geometry({"image": rows})
    assert found["uniformity"]["image"] == pytest.approx(uniformity(rows[:2000]), abs=0.05)


def test_told_in_lines_and_json() -> None:
    found = geometry(
        {"image": cloud(0, 9, 4), "text": cloud(1, 1, 4), "image+text": np.zeros((0, 4))}, np.eye(4), np.eye(4)
    )
    assert json.loads(json.dumps(found)) == found
    text = "\n".join(lines(found))
    assert "image: 9 vectors" in text
    assert "uniformity n/a" in text
    assert "gap image | text" in text
    assert "alignment: 0.000" in text
    assert "image+text" not in text
