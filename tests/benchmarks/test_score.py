"""Ranking: bundles, ties, order, pools, and what is refused."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import score_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from score_reference import gallery, ranks
from scoring_cases import ask, data_of, vectors_for

from benchmarks import score
from benchmarks.score import check_vectors, collapsed, pool_vectors, rank, unit
from benchmarks.types import Candidate, TaskData
from fuselip.core.errors import UserError
from fuselip.core.types import Input

LETTERS = {key: f"text {key}" for key in "abcdef"}


def test_a_hand_made_pool() -> None:
    data = data_of(LETTERS, ask("q", {"b": 1}, "abcd"))
    found = rank(data.queries, data, *vectors_for(data, {"a": 0.9, "b": 0.5, "c": 0.5, "d": 0.1, "e": 1.0, "f": 1.0}))[
        0
    ]
    assert ranks(found) == [("b", 1, 1, 1.0)]
    assert found.pool == 4
    assert not found.truncated
    assert found.top[0][0] == "a"
    assert found.top[3][0] == "d"
    assert [value for _, value in found.top] == pytest.approx([0.9, 0.5, 0.5, 0.1], abs=1e-6)


def test_scores_within_the_tie_width_are_tied_and_others_are_not() -> None:
    data = data_of(LETTERS, ask("q", {"b": 1}, "abc"))
    pool = score.Pool.of(data.queries[0], data)

    def place(a: float, b: float, c: float) -> tuple[int, int]:
        scores = np.zeros(3)
        scores[[pool.bundle_of[key] for key in "abc"]] = a, b, c
        target = score.predict(data.queries[0], pool, scores).targets[0]
        return target.above, target.tied

    assert place(0.5 + 0.9e-6, 0.5, 0.5 - 0.9e-6) == (0, 2)
    assert place(0.5 + 1.1e-6, 0.5, 0.5 - 1.1e-6) == (1, 0)


@pytest.mark.parametrize("few", [0, 64])
def test_scores_exactly_a_tie_width_apart_are_tied(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "FEW", few)
    data = data_of(LETTERS, ask("q", {"a": 1}, "ab"), ask("r", {"b": 1}, "ab"))
    pool = score.Pool.of(data.queries[0], data)
    for query, better in zip(data.queries, "ab", strict=True):
        scores = np.full(2, 0.5 - score.TIE)
        scores[pool.bundle_of[better]] = 0.5
        found = score.predict(query, pool, scores)
        assert (found.targets[0].above, found.targets[0].tied) == (0, 1)
        assert [pool.bundle_of[key] for key, _ in found.top] == [0, 1]


def test_tie_groups_of_several_targets_never_overlap() -> None:
    data = data_of(LETTERS, ask("q", {"a": 1, "c": 1, "e": 1}, "abcde"))
    pool = score.Pool.of(data.queries[0], data)
    scores = np.zeros(5)
    scores[[pool.bundle_of[key] for key in "abcde"]] = [0.5, 0.5 - 0.7e-6, 0.5 - 0.8e-6, 0.5 - 1.3e-6, 0.5 - 1.6e-6]
    found = score.predict(data.queries[0], pool, scores)
    assert ranks(found) == [("a", 0, 2, 1.0), ("c", 0, 2, 1.0), ("e", 3, 1, 1.0)]


def test_copies_form_a_bundle_and_share_its_gain() -> None:
    texts = {"a": "same", "b": "same", "c": "same", "d": "other"}
    data = data_of(
        texts, ask("one", {"b": 1}), ask("two", {"a": 1, "c": 2}), ask("without", {"b": 1}, exclude=frozenset("a"))
    )
    one, two, without = rank(data.queries, data, *vectors_for(data, {"a": 0.9, "d": 0.5}))
    assert ranks(one) == [("a", 0, 0, 1 / 3)]
    assert ranks(two) == [("a", 0, 0, 2 / 3)]
    assert ranks(without) == [("b", 0, 0, 1 / 2)]
    assert one.pool == two.pool == without.pool == 2
    assert without.top[0][0] == "b"


def test_excluded_candidates_are_not_ranked() -> None:
    data = data_of(LETTERS, ask("q", {"c": 1}, exclude=frozenset("ab")))
    found = rank(
        data.queries, data, *vectors_for(data, dict(zip("abcdef", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], strict=True)))
    )[0]
    assert ranks(found) == [("c", 0, 0, 1.0)]
    assert [key for key, _ in found.top] == list("cdef")
    assert found.pool == 4


def test_a_grade_of_zero_is_not_relevant() -> None:
    data = data_of(LETTERS, ask("q", {"a": 0, "b": 2}), ask("server", {}))
    scored, server = rank(data.queries, data, *vectors_for(data, dict.fromkeys("abcdef", 0.5)))
    assert [target.key for target in scored.targets] == ["b"]
    assert server.targets == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_candidates_and_queries_means_nothing(seed: int) -> None:
    """An encoder biased to any position cannot profit: shuffling everything gives the same predictions."""
    shuffle = random.Random(seed)
    numbers = np.random.default_rng(seed)
    texts = {f"c{index}": f"text {index % 9}" for index in range(12)}
    queries = [ask(f"q{index}", {f"c{index}": 1}, shuffle.sample(list(texts), 12)) for index in range(6)]
    data = data_of(texts, *queries)
    contents = sorted({candidate.content for candidate in data.candidates.values()})
    vectors = numbers.integers(-2, 3, (len(contents), 4)).astype(np.float32)
    asked = numbers.integers(-2, 3, (6, 4)).astype(np.float32)
    found = rank(queries, data, asked, contents, vectors)

    order, content_order = shuffle.sample(range(6), 6), shuffle.sample(range(len(contents)), len(contents))
    again = [replace(queries[i], candidates=tuple(shuffle.sample(list(texts), 12))) for i in order]
    other = TaskData(tuple(again), dict(shuffle.sample(list(data.candidates.items()), 12)))
    shuffled = rank(again, other, asked[order], [contents[i] for i in content_order], vectors[content_order])
    for first, second in zip([found[i] for i in order], shuffled, strict=True):
        assert second.targets == first.targets
        assert [key for key, _ in second.top] == [key for key, _ in first.top]


def test_blocks_of_queries_give_what_one_product_gives() -> None:
    data, asked, contents, vectors = gallery(40, 500, 16)
    whole = rank(data.queries, data, asked, contents, vectors)
    for block in (1, 500, 1700):
        blocked = rank(data.queries, data, asked, contents, vectors, block=block)
        assert [ranks(found) for found in blocked] == [ranks(found) for found in whole]
        assert [[key for key, _ in found.top] for found in blocked] == [
            [key for key, _ in found.top] for found in whole
        ]


def test_against_a_plain_sort() -> None:
    data, asked, contents, vectors = gallery(30, 300, 8)
    found = rank(data.queries, data, asked, contents, vectors)
    scores = unit(asked) @ unit(vectors).T
    keys = list(data.candidates)
    for row, prediction in enumerate(found):
        order = np.argsort(-scores[row])
        assert prediction.targets[0].above == list(order).index(row)
        of_key = dict(zip(keys, scores[row], strict=True))
        assert [of_key[key] for key, _ in prediction.top] == pytest.approx(scores[row][order[:100]], abs=2 * score.TIE)
        assert prediction.truncated
        assert prediction.pool == 300


def test_memory_does_not_grow_with_queries_times_candidates() -> None:
    data, asked, contents, vectors = gallery(400, 4000, 8)
    rank(data.queries[:2], data, asked[:2], contents, vectors)
    tracemalloc.start()
    rank(data.queries, data, asked, contents, vectors, block=40_000, top=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 400 * 4000  # the score matrix alone, in float32


@pytest.mark.slow
def test_a_large_gallery_in_flat_memory() -> None:
    data, asked, contents, vectors = gallery(10_000, 100_000, 64)
    asked, vectors = asked.astype(np.float32), vectors.astype(np.float32)
    tracemalloc.start()
    found = rank(data.queries, data, asked, contents, vectors, top=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 * 2**20  # the score matrix would take 3.7 GiB
    assert np.mean([prediction.targets[0].above for prediction in found]) == pytest.approx(50_000, rel=0.05)


def test_collapsed_galleries_are_one_tie_whose_best_are_the_first_by_hash() -> None:
    data, asked, contents, _ = gallery(3, 400, 8)
    found = rank(data.queries, data, asked, contents, np.ones((400, 8)))
    keys = [candidate.key for candidate in sorted(data.candidates.values(), key=lambda candidate: candidate.content)]
    for prediction in found:
        assert (prediction.targets[0].above, prediction.targets[0].tied) == (0, 399)
        assert [key for key, _ in prediction.top] == keys[:100]


def test_zero_vectors_score_zero_and_are_no_error() -> None:
    data = data_of(LETTERS, ask("q", {"a": 1}), ask("r", {"a": 1}))
    _, contents, vectors = vectors_for(data, dict(zip("abcdef", [0.5, 0.9, -0.5, -0.6, -0.7, -0.8], strict=True)))
    vectors[contents.index(data.candidates["a"].content)] = 0
    zero, normal = rank(data.queries, data, np.array([[0, 0], [1, 0]]), contents, vectors)
    assert ranks(zero) == [("a", 0, 5, 1.0)]
    assert ranks(normal) == [("a", 1, 0, 1.0)]


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1.0, 1e30, 3e38])
def test_the_length_of_vectors_means_nothing(scale: float) -> None:
    directions = np.array([[3.0, 4.0], [0.0, -1.0]])
    assert unit(directions * scale / 4) == pytest.approx(
        np.array([[0.6, 0.8], [0.0, -1.0]]), abs=1e-2 if scale < 1e-40 else 1e-6
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_what_is_not_finite_names_encoder_and_input(bad: float) -> None:
    vectors = np.ones((3, 4))
    vectors[1, 2] = bad
    with pytest.raises(UserError, match=r"my encoder returned NaN or infinity for input 'two'"):
        check_vectors(vectors, ["one", "two", "three"], "my encoder")


@pytest.mark.parametrize("shape", [(3,), (2, 4), (3, 0), (3, 2, 2)])
def test_a_wrong_shape_names_the_encoder(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="my encoder returned an array of shape"):
        check_vectors(np.zeros(shape), ["one", "two", "three"], "my encoder")


def test_what_is_not_numbers_is_refused() -> None:
    with pytest.raises(UserError, match="complex"):
        check_vectors(np.zeros((1, 2), complex), ["one"], "my encoder")


def test_rank_refuses_what_cannot_be_ranked() -> None:
    def run(*queries: object) -> None:
        data = data_of(LETTERS, *queries)  # type: ignore[arg-type]
        rank(data.queries, data, *vectors_for(data, dict.fromkeys("abcdef", 0.5)))

    with pytest.raises(ValueError, match=r"query 'q'.*'z'"):
        run(ask("q", {"z": 1}))
    with pytest.raises(ValueError, match=r"query 'q'.*'c'.*not among"):
        run(ask("q", {"c": 1}, "ab"))
    with pytest.raises(ValueError, match=r"query 'q'.*'a'.*not among"):
        run(ask("q", {"a": 1}, exclude=frozenset("a")))
    with pytest.raises(ValueError, match=r"query 'q'.*empty pool"):
        run(ask("q", {}, "a", exclude=frozenset("a")))
    with pytest.raises(ValueError, match=r"query 'q'.*'z', which the task does not have"):
        run(ask("q", {"a": 1}, "az"))
    with pytest.raises(ValueError, match=r"query 'q' lists a candidate twice"):
        run(ask("q", {"a": 1}, "aab"))
    with pytest.raises(ValueError, match="query key 'q' is used 2 times"):
        run(ask("q", {"a": 1}), ask("q", {"b": 1}))


def test_an_empty_pool_by_itself_is_refused() -> None:
    data = data_of(LETTERS, ask("q", {}, ()))
    with pytest.raises(ValueError, match=r"query 'q'.*empty pool"):
        rank(data.queries, data, *vectors_for(data, dict.fromkeys("abcdef", 0.5)))


def test_vectors_must_be_there_and_of_one_size() -> None:
    data = data_of(LETTERS, ask("q", {"a": 1}))
    queries, contents, vectors = vectors_for(data, dict.fromkeys("abcdef", 0.5))
    with pytest.raises(ValueError, match="of which no vector was given"):
        rank(data.queries, data, queries, contents[1:], vectors[1:])
    with pytest.raises(UserError, match="net returned vectors of 3 numbers for queries and of 2"):
        rank(data.queries, data, np.ones((1, 3)), contents, vectors, encoder="net")


def test_pooling_is_normalise_mean_normalise() -> None:
    groups = [np.array([[10.0, 0.0], [0.0, 0.1]]), np.array([[0.0, 7.0]]), np.array([[1.0, 0.0], [-2.0, 0.0]])]
    half = np.sqrt(0.5)
    assert pool_vectors(groups) == pytest.approx(np.array([[half, half], [0.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="without inputs"):
        pool_vectors([np.zeros((0, 2))])


def test_a_candidate_of_several_inputs_is_one_content_in_any_order() -> None:
    parts = (Input(text="one"), Input(text="two"))
    assert Candidate("a", parts).content == Candidate("b", parts[::-1]).content


def test_collapse() -> None:
    same = np.tile(np.random.default_rng(0).standard_normal((1, 32)), (5, 1))
    assert collapsed(same * np.array([[1], [2], [3], [4], [5]]))
    assert collapsed(np.zeros((3, 4)))
    assert not collapsed(np.eye(4))
    assert not collapsed(same + 1e-4 * np.eye(5, 32))
    assert not collapsed(same[:1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.4e-6, 0.9e-6, 1.5e-6, 2.2e-6, 0.5, 0.5 + 0.6e-6]), min_size=1, max_size=60))
def test_great_ties_are_ranked_as_small_ones(scores: list[float]) -> None:
    array = np.array(scores)
    for keep in (1, 2, 3):
        if keep <= len(scores):
            assert score._best(array, keep) == score_reference.best(array, keep)
