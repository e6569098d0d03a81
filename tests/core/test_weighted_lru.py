"""The cache bounded by weight."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fuselip.core.weighted_lru import WeightedLRU


def test_lru_is_bounded_and_forgets_the_least_recent() -> None:
    cache = WeightedLRU[str, int](100)
    for name in "abcd":
        cache.put(name, 1, 25)
    assert cache.get("a") == 1
    cache.put("e", 1, 25)
    assert [name for name in "abcde" if cache.get(name)] == ["a", "c", "d", "e"]
    cache.put("huge", 1, 26)
    assert cache.get("huge") is None
    cache.put("a", 2, 5)
    assert (cache.get("a"), cache.weight) == (2, 80)
    cache.clear()
    assert (cache.get("a"), cache.weight) == (None, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40))))
def test_lru_weight_is_that_of_what_it_holds(puts: list[tuple[int, int]]) -> None:
    cache = WeightedLRU[int, int](100)
    for key, weight in puts:
        cache.put(key, weight, weight)
        assert cache.weight == sum(found for each in range(10) if (found := cache.get(each)) is not None) <= 100


def test_lru_in_threads() -> None:
    cache = WeightedLRU[int, int](1000)

    def work(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 60, 3000).tolist():
            assert cache.get(number) in (None, number)
            cache.put(number, number, number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.weight == sum(number for number in range(60) if cache.get(number) is not None) <= 1000
