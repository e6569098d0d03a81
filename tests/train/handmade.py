"""Hand-made batches: random texts and codes, a function of (seed, step), split among processes; and streams of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fuselip.model.configs import FuseLIPConfig
from fuselip.model.sizes import TEXTS
from fuselip.model.toklip_config import TokLIPConfig
from fuselip.train.batch import Batch, Side


def side(config: Any, count: int, rng: np.random.Generator, *, pixels: bool = False) -> Side:
    """A third each of images with texts, images alone, texts alone; two pairs may share an image.

    For a TokLIP two thirds are images, without any text, and a third texts.
    """
    lengths = torch.from_numpy(rng.integers(2, 12, count))
    kinds = np.arange(count) % 3
    lengths[torch.from_numpy(kinds == 1)] = 2
    ids = torch.from_numpy(rng.integers(1, 90, (count, int(lengths.max()))))
    places = torch.arange(ids.shape[1])
    layout = TEXTS[config.text_tokenizer]
    ids[:, 0] = layout.sot
    ids[places == lengths[:, None] - 1] = layout.eot
    if isinstance(config, TokLIPConfig):
        lengths[torch.from_numpy(kinds != 2)] = 0
    ids[places >= lengths[:, None]] = 0
    images = max(1, count // 2)
    rows = torch.from_numpy(np.where(kinds == 2, -1, rng.integers(0, images, count)))
    codes = pictures = None
    if isinstance(config, FuseLIPConfig) and not pixels:
        codes = torch.from_numpy(rng.integers(0, config.num_codes, (images, config.num_image_tokens)))
    else:
        pictures = torch.from_numpy(rng.integers(0, 256, (images, config.image_side, config.image_side, 3), np.uint8))
    return Side(ids, lengths, rows, codes, pictures)


def batch(config: Any, count: int, *seed: int, pixels: bool = False) -> Batch:
    rng = np.random.default_rng(seed)
    keys = tuple(f"{number % max(1, count - 2)}" for number in range(count))
    sides = [side(config, count, rng, pixels=pixels) for _ in range(2)]
    return Batch(sides[0], sides[1], torch.arange(count), keys)


def rows(whole: Batch, chosen: slice) -> Batch:
    """Some pairs of a batch; every process keeps all images of the whole."""

    def cut(one: Side) -> Side:
        return Side(one.text_ids[chosen], one.text_lengths[chosen], one.image_rows[chosen], one.codes, one.pixels)

    return Batch(cut(whole.left), cut(whole.right), whole.groups[chosen], whole.right_keys[chosen])


@dataclass(frozen=True)
class DataState:
    step: int = 0

    def to_json(self) -> dict[str, int]:
        return {"step": self.step}

    @classmethod
    def from_json(cls, value: Any) -> DataState:
        return cls(value["step"])


def batches(
    data: Any, *, model_config: Any, batch_size: int, seed: int, rank: int, world: int, state: Any, tokenizer: Any
) -> Iterator[tuple[Batch, DataState]]:
    """Endless; process `rank` gets every `world`-th share of each batch."""
    step = state.step if state else 0
    while True:
        whole = batch(model_config, batch_size, seed, step)
        share = -(-batch_size // world)
        step += 1
        yield rows(whole, slice(rank * share, (rank + 1) * share)), DataState(step)


def five(*args: Any, **kwargs: Any) -> Iterator[tuple[Batch, DataState]]:
    """The first five of them."""
    for _, found in zip(range(5), batches(*args, **kwargs), strict=False):
        yield found


def slowly(*args: Any, **kwargs: Any) -> Iterator[tuple[Batch, DataState]]:
    """The same ones, from the fourth on after a while: time to be killed in."""
    for batch_, state in batches(*args, **kwargs):
        yield batch_, state
        if state.step == 4:
            time.sleep(2)
