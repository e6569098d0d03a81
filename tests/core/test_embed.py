"""The plan, the pipeline and what a resumed session sees."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuselip.core.embed import Item, as_seen_by, embed, plan
from fuselip.core.encoder import EncoderInfo, Limits
from fuselip.core.errors import UsageError
from fuselip.core.store import EmbeddingStore
from fuselip.core.types import ImageRef, Input, Operation


class Hashes:
    """A real (if dull) encoder: a vector drawn from the hash of each input, so that any mix-up shows."""

    def __init__(self, fingerprint: str | None = "f", roles: Any = "used", most: int = 10**6, salt: str = "") -> None:
        self.info = EncoderInfo("hashes", fingerprint=fingerprint, roles=roles, instructions="native")
        self.limits = Limits(images=3, inputs=7)
        self.calls: list[int] = []
        self._most, self._salt = most, salt

    def prepare(self, inputs: Sequence[Input]) -> Sequence[Input]:
        return inputs

    def encode(self, inputs: Sequence[Input], *, role: str, instruction: str) -> np.ndarray:
        if len(inputs) > self._most:
            raise MemoryError
        self.calls.append(len(inputs))
        return np.stack([self.vector(Item(item, role, instruction)) for item in inputs])  # type: ignore[arg-type]

    def vector(self, item: Item) -> np.ndarray:
        digest = hashlib.sha256((item.key + self._salt).encode()).digest()
        return np.frombuffer(digest, np.uint8).astype(np.float32) / 255


def image(number: int) -> ImageRef:
    return ImageRef(f"{number:064x}", (Operation.of("tgit.rotate", degrees=number),))


inputs = st.one_of(
    st.text(min_size=1, max_size=5).map(lambda text: Input(text)),
    st.integers(0, 6).map(lambda number: Input(image=image(number))),
    st.tuples(st.text(max_size=3), st.integers(0, 6)).map(lambda pair: Input(pair[0], image(pair[1]))),
)
items = st.lists(st.builds(Item, inputs, st.sampled_from(["query", "candidate"]), st.sampled_from(["", "find"])))


@given(items, st.randoms())
def test_plan_covers_each_distinct_item_once_within_limits_in_any_order(found: list[Item], random: Any) -> None:
    limits = Limits(images=2, inputs=5)
    batches = plan(found, limits)
    keys = [item.key for batch in batches for item in batch.items]
    assert sorted(keys) == sorted({item.key for item in found})
    for batch in batches:
        assert len(batch.items) <= limits.inputs
        assert len({item.input.image for item in batch.items if item.input.image}) <= limits.images
        assert len({item.input.image is None for item in batch.items}) == 1
    shuffled = list(found)
    random.shuffle(shuffled)
    assert [batch.key for batch in plan(shuffled, limits)] == [batch.key for batch in batches]


def test_inputs_on_one_image_share_a_batch() -> None:
    found = [Item(Input(f"question {n}", image(i))) for n in range(4) for i in range(5)]
    homes: dict[Any, set[str]] = {}
    for batch in plan(found, Limits(images=3, inputs=9)):
        for item in batch.items:
            homes.setdefault(item.input.image, set()).add(batch.key)
    assert all(len(home) == 1 for home in homes.values())


@given(items)
def test_vectors_are_those_of_their_items(tmp_path_factory: Any, found: list[Item]) -> None:
    encoder = Hashes()
    with EmbeddingStore(tmp_path_factory.mktemp("store"), {}) as store:
        embeddings = embed(encoder, found, store)
    for item in found:
        assert np.array_equal(embeddings.rows[item.key], encoder.vector(item))


def test_what_an_encoder_ignores_is_encoded_once(tmp_path: Path) -> None:
    encoder = Hashes(roles="ignored")
    both = [Item(Input("same"), "query"), Item(Input("same"), "candidate")]
    with EmbeddingStore(tmp_path, {}) as store:
        embeddings = embed(encoder, both, store)
    assert encoder.calls == [1]
    assert len({as_seen_by(encoder.info, item).key for item in both}) == 1
    assert len(embeddings.rows) == 1


def test_resumed_session_encodes_only_what_is_missing(tmp_path: Path) -> None:
    found = [Item(Input(f"text {n}", image(n))) for n in range(20)]
    first = Hashes()

    class Killed(Exception): ...

    def stop_half_way(done: int, total: int) -> None:
        if done >= total // 2:
            raise Killed

    with EmbeddingStore(tmp_path, {}) as store, pytest.raises(Killed):
        embed(first, found, store, stop_half_way)
    second = Hashes()
    with EmbeddingStore(tmp_path, {}) as store:
        resumed = embed(second, found, store)
    assert sum(first.calls) >= 10
    assert resumed.reused_batches > 0
    assert sum(second.calls) == 20 - 3 * resumed.reused_batches
    assert all(np.array_equal(resumed.rows[item.key], first.vector(item)) for item in found)


def test_batch_that_does_not_fit_is_split_alone_and_recorded(tmp_path: Path) -> None:
    encoder = Hashes(most=2)
    found = [Item(Input(f"text {n}")) for n in range(5)]
    with EmbeddingStore(tmp_path, {}) as store:
        embeddings = embed(encoder, found, store)
    assert all(np.array_equal(embeddings.rows[item.key], encoder.vector(item)) for item in found)
    assert len(embeddings.splits) >= 1
    assert max(encoder.calls) == 2


def test_encoder_without_fingerprint_must_match_what_it_stored(tmp_path: Path) -> None:
    found = [Item(Input("a")), Item(Input("b"))]
    with EmbeddingStore(tmp_path, {}) as store:
        embed(Hashes(None), found, store)
    with EmbeddingStore(tmp_path, {}) as store:
        assert embed(Hashes(None), found, store).reused_batches == 1
        with pytest.raises(UsageError, match="other vectors than when this run began"):
            embed(Hashes(None, salt="changed"), found, store)
