"""Smaller embeddings: what each kind keeps, what it is calibrated on, and that one scoring ranks them all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_cases import ask, data_of

from benchmarks.quantise import Quantiser, shrinker
from benchmarks.score import rank, unit
from fuselip.core.errors import UsageError

SEEDS = st.integers(0, 1 << 20)


def vectors(seed: int, rows: int, dim: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 24))
def test_truncation_keeps_the_first_numbers_and_unit_length(seed: int, dim: int) -> None:
    given_ND = vectors(seed, 7, 24)
    cut = Quantiser.fit(given_ND, truncate_dim=dim)(given_ND)
    assert cut.dtype == np.float32
    assert cut == pytest.approx(given_ND[:, :dim] / np.linalg.norm(given_ND[:, :dim], axis=1, keepdims=True), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from([1, 7, 8, 33]))
def test_signs_score_as_the_hamming_distance_of_packed_bits(seed: int, dim: int) -> None:
    candidates_ND, queries_QD = vectors(seed, 20, dim), vectors(seed + 1, 5, dim)
    quantiser = Quantiser.fit(candidates_ND, kind="binary")
    found = quantiser(queries_QD) @ quantiser(candidates_ND).T
    bits = [np.packbits(rows > 0, axis=1) for rows in (queries_QD, candidates_ND)]
    apart = np.unpackbits(bits[0][:, None] ^ bits[1][None], axis=2).sum(axis=2)
    assert found == pytest.approx(1 - 2 * apart / dim, abs=1e-5)
    assert bits[0].shape[1] == quantiser.bytes_per_embedding


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from([None, 6]))
def test_int8_is_whole_steps_within_half_a_step(seed: int, truncate_dim: int | None) -> None:
    candidates_ND = vectors(seed, 20, 12)
    quantiser = Quantiser.fit(candidates_ND, truncate_dim, "int8")
    exact, found = Quantiser.fit(candidates_ND, truncate_dim)(candidates_ND), quantiser(candidates_ND)
    assert quantiser.scale_D is not None
    levels = found / quantiser.scale_D
    assert levels == pytest.approx(np.rint(levels), abs=1e-3)
    assert np.abs(levels).max(axis=0) == pytest.approx(127, abs=1e-3)
    assert (np.abs(found - exact) <= 0.501 * quantiser.scale_D).all()


def test_int8_knows_the_candidates_alone() -> None:
    """A query beyond their range is clipped, and asking it changes nothing for the others."""
    candidates_ND = np.array([[0.6, 0.8], [0.8, 0.6], [1.0, 0.1]], np.float32)
    quantiser = Quantiser.fit(candidates_ND, kind="int8")
    alone = quantiser(np.array([[0.7, 0.7]], np.float32))
    both = quantiser(np.array([[0.7, 0.7], [0.0, 1.0]], np.float32))
    assert np.array_equal(alone[0], both[0])
    assert both[1, 1] == pytest.approx(unit(candidates_ND)[:, 1].max())


def test_a_dimension_that_is_always_zero_stays_zero() -> None:
    candidates_ND = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    assert np.array_equal(Quantiser.fit(candidates_ND, kind="int8")(candidates_ND), candidates_ND)


@pytest.mark.parametrize(("kind", "size"), [(None, 96), ("int8", 24), ("binary", 3)])
def test_what_is_recorded(kind: str | None, size: int) -> None:
    record = Quantiser.fit(vectors(0, 3, 32), 24, kind).record()
    assert json.loads(json.dumps(record)) == record
    assert (record["dim"], record["of_dim"], record["bytes_per_embedding"]) == (24, 32, size)
    assert record["quantise"] == (kind or "none")


@pytest.mark.parametrize("kind", ["int8", "binary", None])
def test_one_scoring_ranks_them_all(kind: str | None) -> None:
    """A question that is its answer's own vector finds it, whatever the vectors became."""
    texts = {f"c{index}": f"text {index}" for index in range(30)}
    data = data_of(texts, *[ask(f"q{index}", {f"c{index}": 1}) for index in range(30)])
    contents = [candidate.content for candidate in data.candidates.values()]
    candidates_ND = vectors(3, 30, 64)
    make = shrinker(48, kind)
    assert make is not None
    quantiser = make(candidates_ND)
    found = rank(data.queries, data, quantiser(candidates_ND), contents, quantiser(candidates_ND))
    assert all((row.targets[0].above, row.targets[0].tied) == (0, 0) for row in found)


def test_what_is_refused() -> None:
    assert shrinker(None, None) is None
    for dim in (0, 9):
        with pytest.raises(UsageError, match=f"1 to 8 .* not {dim}"):
            Quantiser.fit(vectors(0, 2, 8), dim)
    with pytest.raises(UsageError, match="no quantisation 'int4'"):
        Quantiser.fit(vectors(0, 2, 8), kind="int4")
    with pytest.raises(ValueError, match="were calibrated"):
        Quantiser.fit(vectors(0, 2, 8))(vectors(0, 2, 7))
