"""The batches of a run: parts, workers, packing and tensors put together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuselip.core.errors import UsageError
from fuselip.core.types import content_hash
from fuselip.model.sizes import IMAGE_SIZE
from fuselip.train.batch import Batch
from fuselip.train.data.collate import Collator
from fuselip.train.data.config import DataConfig
from fuselip.train.data.pack import Packer
from fuselip.train.data.realise import Making
from fuselip.train.data.state import DataState
from fuselip.train.data.stream import Exhausted, Stream
from fuselip.train.data.tokens import ImageTokenizer, TokenCache, Tokenized
from fuselip.train.data.work import Parts, Readers


def batches(
    data: DataConfig,
    *,
    model_config: Any,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world: int = 1,
    state: DataState | None = None,
    tokenizer: ImageTokenizer | None = None,
) -> Iterator[tuple[Batch, DataState]]:
    """This rank's share of batches of `batch_size` pairs, each with the state from which its next ones follow.

    The share is `batch_size` / `world`, the first ranks taking one more where that leaves a rest. What comes depends on
    the data, the model's side and text tokenizer, batch size, seed, rank and world; not on workers or caches. Where
    `data.tokens` and `tokenizer` are given, sides hold codes and perhaps vectors (cached on disk), else pixels.

    The iterator ends where a part ends and does not repeat, with its last full batch. Close it to end its workers.
    Raises UsageError for a state of another configuration, UserError for data that cannot be read.
    """
    if not 0 <= rank < world or batch_size < world:
        raise UsageError(f"a batch of {batch_size} pairs for {world} processes (rank {rank}): each needs a pair")
    whole, batch_size = batch_size, batch_size // world + (rank < batch_size % world)
    side = int(getattr(model_config, "image_side", IMAGE_SIZE))
    most = min(data.max_group or batch_size, batch_size)
    cached = tokenizer is not None and bool(data.tokens)
    tokenized = Tokenized.of(tokenizer) if tokenizer is not None and cached else None
    making = Making(model_config, side, seed, most, data.tokens, tokenized, data.pixels)
    decides = {**data.to_json(), "workers": 0, "tokens": "", "pixels": ""}
    texts = [getattr(model_config, "text_tokenizer", ""), model_config.context_length]
    config = content_hash([decides, whole, seed, rank, world, side, texts])
    if state is not None and (state.config != config or len(state.places) != len(data.parts)):
        raise UsageError(
            "the saved state of the data is of another configuration (parts, weights, options, batch size, seed, "
            "number of processes, image side, text tokenizer); resume with that one, or start the data anew"
        )
    return _run(Parts(making, data.parts), data, batch_size, rank, world, state, config, tokenizer if cached else None)


def _run(
    parts: Parts,
    data: DataConfig,
    batch_size: int,
    rank: int,
    world: int,
    state: DataState | None,
    config: str,
    tokenizer: ImageTokenizer | None,
) -> Iterator[tuple[Batch, DataState]]:
    making = parts.making
    codes = None
    if tokenizer is not None:
        codes = TokenCache(Path(making.tokens), Tokenized.of(tokenizer), making.side)
    collate = Collator(making.side, codes, tokenizer)
    with Readers(parts, data.workers) as readers:
        streams = [Stream(readers, index, rank, world, data.repeat, data.draws) for index, _ in enumerate(data.parts)]
        packer = Packer(streams, [part.weight for part in data.parts], batch_size, making.seed)
        if state is not None:
            packer.restore(state, parts)
        while True:
            try:
                pieces = packer.next()
            except Exhausted:
                return
            yield collate(pieces), packer.state(config)
