"""Big galleries: the streamed ranking equals the plain one, keeps little, and reads vectors where they lie."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import score_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from score_reference import gallery, ranks
from scoring_cases import ask, data_of

from benchmarks import score, streaming
from benchmarks.score import rank
from benchmarks.types import TaskData
from fuselip.core.errors import UserError


@st.composite
def cases(draw: st.DrawFn) -> tuple[TaskData, np.ndarray, list[str], np.ndarray]:
    """Copies, exclusions, several answers and a server's query, on few distinct directions: ties everywhere.

    Every vector is a row of four ones with signs, so that products are exact whatever the order of summation.
    """
    numbers = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    count, own = draw(st.integers(3, 60)), draw(st.booleans())
    texts = {f"c{index}": f"text {numbers.integers(count)}" for index in range(count)}
    keys = list(texts)
    queries = []
    for index in range(draw(st.integers(1, 5))):
        pool = list(numbers.permutation(keys)[: numbers.integers(3, count + 1)]) if own else keys
        answers = {str(key): float(numbers.integers(2)) for key in pool[: numbers.integers(0, min(8, len(pool)))]}
        out = frozenset(str(key) for key in pool[-int(numbers.integers(1, 3)) :]) - set(answers)
        queries.append(ask(f"q{index}", answers, [str(key) for key in pool] if own else None, exclude=out))
    data = data_of(texts, *queries)
    contents = sorted({candidate.content for candidate in data.candidates.values()})
    dim = draw(st.sampled_from([4, 16]))
    asked, vectors = (numbers.choice([-1, 1], (rows, dim)).astype(np.float32) for rows in (len(queries), len(contents)))
    return data, asked, contents, vectors


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([1, 3, 100]), st.sampled_from([np.float32, np.float16, np.float64]))
def test_small_and_streamed_pools_give_what_the_plain_code_gives(
    case: tuple[TaskData, np.ndarray, list[str], np.ndarray], top: int, kind: type
) -> None:
    data, asked, contents, vectors = case
    expected = score_reference.rank(data.queries, data, asked, contents, vectors, top)
    with pytest.MonkeyPatch.context() as patch:
        assert rank(data.queries, data, asked, contents, vectors.astype(kind), top=top) == expected
        patch.setattr(score, "FEW", 0)
        assert rank(data.queries, data, asked, contents, vectors.astype(kind), top=top) == expected
        for name, value in {"COLUMNS": 8, "STEP": 4, "ROWS": 2, "PENDING": 16}.items():
            patch.setattr(streaming, name, value)
        assert rank(data.queries, data, asked, contents, vectors.astype(kind), top=top, large=0) == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 20), st.integers(1, 12), st.sampled_from([1e-7, 4e-7, 1e-5]))
def test_streamed_scores_at_the_edge_of_a_tie(seed: int, top: int, scale: float) -> None:
    """Scores a fraction of the tie width apart: groups, their counts and the order within them stay the same."""
    numbers = np.random.default_rng(seed)
    count = int(numbers.integers(top + 1, 80))
    scores_1G = (0.5 + scale * numbers.integers(-12, 13, (1, count))).astype(np.float32)
    targets = sorted(numbers.permutation(count)[: numbers.integers(0, 6)].tolist())
    # With queries of one number, 1, a candidate's vector is its score.
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"COLUMNS": 16, "STEP": 1, "PENDING": 8}.items():
            patch.setattr(streaming, name, value)
        ones, wanted = np.ones((1, 1), np.float32), [streaming.Wanted(targets, [])]
        found = streaming.stream(ones, lambda which: scores_1G[0, which, None], count, wanted, top)[0]
    scores = scores_1G[0].astype(np.float64)
    assert found.places == score_reference.places(targets, scores)
    best = [int(found.best[at]) for at in score._best(found.scores, top)]
    assert best == score_reference.best(scores, top)
    assert len(found.best) <= 80


def test_a_tied_gallery_is_streamed_without_keeping_it() -> None:
    data, asked, contents, _ = gallery(3, 4000, 8)
    found = rank(data.queries, data, asked, contents, np.ones((4000, 8)), large=0)
    keys = [candidate.key for candidate in sorted(data.candidates.values(), key=lambda candidate: candidate.content)]
    for prediction in found:
        assert (prediction.targets[0].above, prediction.targets[0].tied) == (0, 3999)
        assert [key for key, _ in prediction.top] == keys[:100]
    tied = streaming._Best(1, 10)
    tied.add(np.full((1, 100_000), 0.5, np.float32))
    assert tied.pending == 0
    assert len(tied.parts[0][0]) <= 20


def test_vectors_on_disk_are_read_block_by_block(tmp_path: Path) -> None:
    data, asked, contents, vectors = gallery(20, 9000, 16)
    order = np.argsort(contents)
    shelf = np.memmap(tmp_path / "vectors", np.float16, "w+", shape=vectors.shape)
    shelf[:] = vectors[order]
    listed = [contents[row] for row in order]
    expected = rank(data.queries, data, asked, listed, np.array(shelf, np.float32), large=1 << 20)
    for held in (shelf, _Slices(shelf)):
        found = rank(data.queries, data, asked, listed, held)
        assert [ranks(row) for row in found] == [ranks(row) for row in expected]
        assert [[key for key, _ in row.top] for row in found] == [[key for key, _ in row.top] for row in expected]
    shelf[7, 3] = np.nan
    with pytest.raises(UserError, match=f"NaN or infinity for input '{listed[7]}'"):
        rank(data.queries, data, asked, listed, shelf)


class _Slices:
    """What a file of arrays offers: shape, dtype, slices and rising distinct rows. Never the whole."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, which: slice | np.ndarray) -> np.ndarray:
        if not isinstance(which, slice):
            assert (np.diff(which) > 0).all()
        return np.array(self.array[which])


@pytest.mark.slow
def test_a_streamed_gallery_is_not_copied() -> None:
    data, asked, contents, vectors = gallery(100, 40_000, 512)
    vectors = vectors.astype(np.float16)
    rank(data.queries[:2], data, asked[:2], contents, vectors)
    tracemalloc.start()
    rank(data.queries, data, asked, contents, vectors, top=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * vectors.size  # a float32 copy alone; what is needed is a block, a tile and the keys of the pool
