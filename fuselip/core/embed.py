"""Embedding once: distinct inputs -> planned batches -> encoder -> vectors.

The plan depends only on what is embedded and on the encoder's limits, never on what is cached, and a batch is
encoded and stored whole: so a killed and resumed run sees the same batches and ends with the same bytes.
All Inputs on one image share a batch, so that an encoder can work on the pixels once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from fuselip.core.encoder import EncoderInfo, Limits, Role
from fuselip.core.errors import UsageError
from fuselip.core.store import EmbeddingStore
from fuselip.core.types import Input, content_hash

RESUME_TOLERANCE = 1e-4  # relative; float noise between sessions lies far below


@dataclass(frozen=True)
class Item:
    """One thing to embed: an Input in its role, with its instruction."""

    input: Input
    role: Role = "query"
    instruction: str = ""

    @cached_property
    def key(self) -> str:
        return content_hash([self.input.key, self.role, self.instruction])


@dataclass(frozen=True)
class Batch:
    """Items encoded and stored together."""

    items: tuple[Item, ...]

    @cached_property
    def key(self) -> str:
        return content_hash([item.key for item in self.items])


class Peers(Protocol):
    """The processes that share a run. Number 0 holds the store; all take part in every call, in the same order."""

    rank: int
    world: int

    def tell(self, value: Any) -> Any:
        """What number 0 passed, in every process."""
        ...

    def collect(self, value: Any) -> list[Any]:
        """What each process passed, in process 0; an empty list in the others."""
        ...


class Embedder(Protocol):
    """What `embed` drives: an encoder made uniform (keywords accepted, output checked)."""

    info: EncoderInfo
    limits: Limits

    def encode(self, inputs: Any, *, role: Role, instruction: str) -> np.ndarray: ...

    def prepare(self, inputs: Sequence[Input]) -> Any: ...


Progress = Callable[[int, int], None]


@dataclass
class Embeddings:
    """Vectors by item, and how they came about."""

    dim: int
    rows: dict[str, np.ndarray]
    seconds: dict[str, float]
    encoded_batches: int = 0
    reused_batches: int = 0
    encode_seconds: float = 0.0
    wait_seconds: float = 0.0
    splits: list[str] = field(default_factory=list)

    def keys(self, item: Item) -> list[str]:
        """What was encoded for the item: the keys in `seconds` that it is charged with."""
        return [item.key]

    def stack(self, items: Sequence[Item]) -> np.ndarray:
        """float32 [N, D]."""
        return np.stack([self.rows[item.key] for item in items]) if items else np.zeros((0, self.dim), np.float32)


def as_seen_by(info: EncoderInfo, item: Item) -> Item:
    """The item without what the encoder ignores, so that equal work is done once."""
    role: Role = "query" if info.roles == "ignored" else item.role
    return Item(item.input, role, "" if info.instructions == "ignored" else item.instruction)


def plan(items: Iterable[Item], limits: Limits) -> list[Batch]:
    """Distinct items in batches of at most `limits.images` distinct images and `limits.inputs` items.

    Texts alone come in batches of `limits.texts` (default: of `limits.inputs`). Items on one image stay together
    unless they alone exceed `limits.inputs`. Images of one source are neighbours
    (it is decoded once); texts go from short to long (little padding). Independent of the order of `items`.
    """
    distinct = {item.key: item for item in items}.values()
    ordered = sorted(distinct, key=_order)
    batches: list[Batch] = []
    current: list[Item] = []
    images = 0
    for image, group in groupby(ordered, key=lambda item: item.input.image):
        for block in _blocks(list(group), image is None, limits):
            adds = 0 if image is None else 1
            most = limits.inputs if adds else limits.texts or limits.inputs
            full = len(current) + len(block) > most or images + adds > limits.images
            mixed = bool(current) and (current[-1].input.image is None) != (image is None)
            if current and (full or mixed):
                batches.append(Batch(tuple(current)))
                current, images = [], 0
            current += block
            images += adds
    if current:
        batches.append(Batch(tuple(current)))
    return batches


def embed(
    embedder: Embedder,
    items: Iterable[Item],
    store: EmbeddingStore,
    progress: Progress | None = None,
    peers: Peers | None = None,
) -> Embeddings:
    """Vectors for all `items`, encoding what `store` does not hold. Raises UserError for unusable vectors.

    While one batch is encoded the next is prepared (decoded) in another thread. `progress(done, total)` counts items.
    With `peers`, this is process 0, and the others call `help_embed` with the same items.
    """
    batches = plan((as_seen_by(embedder.info, item) for item in items), embedder.limits)
    if embedder.info.fingerprint is None:
        _verify(embedder, batches, store)
    total, done = sum(len(batch.items) for batch in batches), 0
    result = Embeddings(0, {}, {})
    if peers:
        _fill_together(embedder, batches, store, peers, result, progress)
    missing = [batch for batch in batches if batch.key not in store]
    with ThreadPoolExecutor(1, "prepare") as pool:
        upcoming = iter(missing)
        ahead = _prepare_next(pool, embedder, upcoming)
        for batch in batches:
            vectors = store.get(batch.key)
            if vectors is None:
                if ahead is not None and ahead[0] is batch:
                    waited = time.perf_counter()
                    calls = ahead[1].result()
                    result.wait_seconds += time.perf_counter() - waited
                    ahead = _prepare_next(pool, embedder, upcoming)
                else:  # its stored bytes turned out to be damaged
                    calls = _calls(embedder, batch.items)
                started = time.perf_counter()
                vectors = _encode(embedder, batch, calls, result)
                seconds = time.perf_counter() - started
                store.put(batch.key, vectors, seconds)
                result.encode_seconds += seconds
                result.encoded_batches += 1
            else:
                result.reused_batches += 1
            _keep(result, batch, vectors, store.seconds(batch.key))
            done += len(batch.items)
            if progress:
                progress(done, total)
    return result


def help_embed(embedder: Embedder, items: Iterable[Item], peers: Peers) -> None:
    """A process other than 0: encode every `world`-th batch that process 0 lacks, and send it the vectors."""
    batches = plan((as_seen_by(embedder.info, item) for item in items), embedder.limits)
    _rounds(embedder, batches, peers.tell(None), peers, Embeddings(0, {}, {}), lambda found: None)


def _fill_together(
    embedder: Embedder,
    batches: Sequence[Batch],
    store: EmbeddingStore,
    peers: Peers,
    result: Embeddings,
    progress: Progress | None,
) -> None:
    """Every batch that is missing, encoded by some process and stored here, in the order of the plan."""
    missing = peers.tell([batch.key for batch in batches if batch.key not in store])
    sizes = {batch.key: len(batch.items) for batch in batches}
    total = sum(sizes.values())

    def keep(found: list[tuple[str, np.ndarray, float, list[str]]]) -> None:
        for key, vectors, seconds, splits in found:
            store.put(key, vectors, seconds)
            result.encode_seconds += seconds
            result.encoded_batches += 1
            result.reused_batches -= 1  # the loop that reads it back counts it as reused
            result.splits += splits
        if progress:
            progress(sum(sizes[batch.key] for batch in batches if batch.key in store), total)

    _rounds(embedder, batches, missing, peers, result, keep)


def _rounds(
    embedder: Embedder,
    batches: Sequence[Batch],
    missing: Sequence[str],
    peers: Peers,
    result: Embeddings,
    keep: Callable[[list[Any]], None],
) -> None:
    """One batch a process and round; a round ends when all have theirs, and process 0 keeps them."""
    by_key = {batch.key: batch for batch in batches}
    lacking = [key for key in missing if key not in by_key]
    if lacking:
        raise UsageError("the processes of this run do not have the same tasks or encoder; give all the same command")
    mine = [by_key[key] for key in missing[peers.rank :: peers.world]]
    with ThreadPoolExecutor(1, "prepare") as pool:
        upcoming = iter(mine)
        ahead = _prepare_next(pool, embedder, upcoming)
        for _ in range(-(-len(missing) // peers.world)):
            sent = None
            if ahead is not None:
                batch, calls = ahead[0], ahead[1].result()
                ahead = _prepare_next(pool, embedder, upcoming)
                started, before = time.perf_counter(), len(result.splits)
                vectors = _encode(embedder, batch, calls, result)
                sent = (batch.key, vectors, time.perf_counter() - started, result.splits[before:])
                del result.splits[before:]
            keep([found for found in peers.collect(sent) if found is not None])


def _verify(embedder: Embedder, batches: Sequence[Batch], store: EmbeddingStore) -> None:
    """An encoder that declares no fingerprint must show that it still is the one whose vectors are stored."""
    for batch in batches:
        stored = store.get(batch.key)
        if stored is None:
            continue
        again = _encode(embedder, batch, _calls(embedder, batch.items), Embeddings(0, {}, {}))
        scale = float(np.abs(stored).max()) or 1.0
        if again.shape != stored.shape or float(np.abs(again - stored).max()) > RESUME_TOLERANCE * scale:
            raise UsageError(
                f"{embedder.info.name} gives other vectors than when this run began, and declares no fingerprint; "
                "choose a new --output (or delete this one), or make the encoder deterministic"
            )
        return


Call = tuple[tuple[Item, ...], Any]


def _order(item: Item) -> tuple[Any, ...]:
    image = item.input.image
    where = (1, "", "") if image is None else (0, image.source, image.key)
    return (*where, item.role, item.instruction, len(item.input.text), item.input.text)


def _blocks(group: list[Item], is_text: bool, limits: Limits) -> list[list[Item]]:
    """Items on one image as one block (cut where it exceeds a batch); each text is a block of its own."""
    step = 1 if is_text else limits.inputs
    return [group[start : start + step] for start in range(0, len(group), step)]


def _calls(embedder: Embedder, items: Sequence[Item]) -> list[Call]:
    """One encode call for each (role, instruction) in the batch, with what can be prepared ahead."""
    ordered = sorted(items, key=lambda item: (item.role, item.instruction))
    groups = [tuple(group) for _, group in groupby(ordered, key=lambda item: (item.role, item.instruction))]
    return [(group, embedder.prepare([item.input for item in group])) for group in groups]


def _prepare_next(
    pool: ThreadPoolExecutor, embedder: Embedder, upcoming: Iterable[Batch]
) -> tuple[Batch, Future[list[Call]]] | None:
    batch = next(iter(upcoming), None)
    return None if batch is None else (batch, pool.submit(_calls, embedder, batch.items))


def _encode(embedder: Embedder, batch: Batch, calls: list[Call], result: Embeddings) -> np.ndarray:
    """Rows in the order of `batch.items`. A batch that does not fit in memory is halved, and that is recorded."""
    try:
        rows: dict[str, np.ndarray] = {}
        for items, prepared in calls:
            vectors = embedder.encode(prepared, role=items[0].role, instruction=items[0].instruction)
            rows.update(zip((item.key for item in items), vectors, strict=True))
        return np.stack([rows[item.key] for item in batch.items])
    except (MemoryError, RuntimeError) as error:
        if len(batch.items) == 1 or not _out_of_memory(error):
            raise
    result.splits.append(f"batch {batch.key[:12]} of {len(batch.items)} inputs did not fit in memory and was halved")
    middle = len(batch.items) // 2
    halves = [Batch(batch.items[:middle]), Batch(batch.items[middle:])]
    return np.concatenate([_encode(embedder, half, _calls(embedder, half.items), result) for half in halves])


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error)


def _keep(result: Embeddings, batch: Batch, vectors: np.ndarray, seconds: float) -> None:
    result.dim = vectors.shape[1]
    for item, row in zip(batch.items, vectors, strict=True):
        result.rows[item.key] = row
        result.seconds[item.key] = seconds / len(batch.items)
