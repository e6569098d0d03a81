"""Preparing a set: groups made once, at the model's side, for many runs to read. By several processes, resumable.

The plan is fixed beforehand: so many items of each part, by its weight and by how many pairs an item of it has, in
shards of one part each. A shard is one task; what is finished is kept, and the order of work does not matter.
"""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import lock, read_json, write_bytes, write_json
from fuselip.core.types import Group, ImageRef, Input, Pair
from fuselip.model.sizes import IMAGE_SIZE
from fuselip.train.data.config import DataConfig
from fuselip.train.data.pieces import NO_IMAGE
from fuselip.train.data.realise import Making, Realiser, right_key
from fuselip.train.data.sources import GroupSource, open_groups
from fuselip.train.data.stored import MANIFEST, PLAN, SCHEMA, read_shard
from fuselip.train.data.work import end_with

SHARD_IMAGES = 4096  # about: 50 MB at 64 pixels a side
SAMPLE = 24  # items looked at to learn how many pairs they have


@dataclass(frozen=True)
class Shard:
    """`count` items of part `part`, from item `first` on in its order."""

    number: int
    part: int
    first: int
    count: int


def materialise(
    data: DataConfig,
    model_config: Any,
    groups: int,
    out: Path,
    *,
    seed: int = 0,
    workers: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write about `groups` groups of `data`, with pixels at the model's side, into `out`. Returns the manifest.

    Of each part so many items that its pairs have the share of its weight; groups are stored whole (`max_group` is for
    reading). Call it again to go on with what was begun. `report(shards done, shards)`. Raises UsageError where `out`
    was begun with other settings, UserError for data that cannot be read.
    """
    if groups < 1 or workers < 1:
        raise UsageError("groups and workers are 1 or more")
    side = int(getattr(model_config, "image_side", IMAGE_SIZE))
    making = Making(None, side, seed, 0)
    with lock(out / ".lock", f"another process is preparing {out}; wait for it to end"):
        plan = _plan(data, making, groups, out)
        shards = [Shard(*row) for row in plan["shards"]]
        parts = {"parts": plan["data"]["parts"]}
        waiting = [shard for shard in shards if not (out / f"{shard.number:05d}.npz").is_file()]
        report(len(shards) - len(waiting), len(shards))
        tasks = [(parts, making, shard, out) for shard in waiting]
        for done, _ in enumerate(_run(tasks, workers), len(shards) - len(waiting) + 1):
            report(done, len(shards))
        manifest = _manifest(out, plan, shards, side)
        write_json(out / MANIFEST, manifest)
    return manifest


def _plan(data: DataConfig, making: Making, groups: int, out: Path) -> dict[str, Any]:
    """The plan that lies in `out`, or a new one."""
    settings = {"schema": SCHEMA, "data": {"parts": data.to_json()["parts"]}, "side": making.side}
    settings |= {"seed": making.seed, "groups": groups}
    path = out / PLAN
    if path.exists():
        found = read_json(path)
        if not isinstance(found, dict) or {key: found.get(key) for key in settings} != settings:
            raise UsageError(f"{out} was begun with other settings (see {PLAN}); choose another folder or delete it")
        return found
    means = [_means(open_groups(part, making.seed)) for part in data.parts]
    items = [part.weight / pairs for part, (_, pairs, _) in zip(data.parts, means, strict=True)]
    scale = groups / sum(count * each for count, (each, _, _) in zip(items, means, strict=True))
    shards: list[list[int]] = []
    for number, (share, (_, _, images)) in enumerate(zip(items, means, strict=True)):
        count, size = max(round(share * scale), 1), max(round(SHARD_IMAGES / images), 1)
        for first in range(0, count, size):
            shards.append([len(shards), number, first, min(size, count - first)])
    write_json(path, settings | {"shards": shards})
    return settings | {"shards": shards}


def _means(source: GroupSource) -> tuple[float, float, float]:
    """(groups, pairs, images) of an item, on average over the first few; pixels are not made."""
    found = [list(source.read(number, epoch)) for number, epoch in _numbers(source, 0, SAMPLE)]
    groups = [group for each in found for group in each]
    if not groups:
        raise UserError("the first items of a part give no groups; check its options")
    images = sum(len(_images(group)) for group in groups)
    return len(groups) / SAMPLE, sum(len(group.pairs) for group in groups) / SAMPLE, max(images, 1) / SAMPLE


def _numbers(source: GroupSource, first: int, count: int) -> Iterator[tuple[int, int]]:
    """(number, epoch) of `count` items from the `first`-th on, epoch after epoch."""
    epoch, skip = divmod(first, len(source))
    while count:
        for number in islice(source.order(epoch), skip, skip + count):
            yield number, epoch
            count -= 1
        epoch, skip = epoch + 1, 0


def _images(group: Group) -> dict[ImageRef, None]:
    sides = (side for pair in group.pairs for side in (pair.left, pair.right))
    return {side.image: None for side in sides if side.image is not None}


Task = tuple[dict[str, Any], Making, Shard, Path]


def _run(tasks: Sequence[Task], workers: int) -> Iterator[None]:
    if workers == 1 or len(tasks) < 2:
        yield from map(_make, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context, end_with, (os.getpid(),)) as pool:
        try:
            yield from pool.map(_make, tasks)
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed (out of memory?); give the same command again, with fewer workers"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _make(task: Task) -> None:
    """Write one shard; its .npz last, which says that it is whole."""
    given, making, shard, out = task
    part = DataConfig.from_json(given).parts[shard.part]
    source, realiser = open_groups(part, making.seed), Realiser(making)
    made = _Shard(making.side)
    for number, epoch in _numbers(source, shard.first, shard.count):
        for place, group in enumerate(source.read(number, epoch)):
            loaded: dict[ImageRef, np.ndarray] = {}
            pairs = realiser.pairs(group, (shard.part, epoch, number, place), loaded)
            if pairs:
                made.add(str(group.params.get("kind") or group.recipe), pairs, realiser, loaded)
    path = out / f"{shard.number:05d}.npy"
    pixels, table = io.BytesIO(), io.BytesIO()
    np.save(pixels, made.pixels(), allow_pickle=False)
    np.savez(table, **made.arrays())  # type: ignore[arg-type]
    write_bytes(path, pixels.getbuffer())  # type: ignore[arg-type]
    write_bytes(path.with_suffix(".npz"), table.getbuffer())  # type: ignore[arg-type]


class _Shard:
    """What a shard holds so far. Texts, images and names are each kept once."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._texts: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._images: dict[bytes, int] = {}
        self._pixels: list[np.ndarray] = []
        self._rows: list[tuple[int, int, int, int]] = []
        self._right: list[bytes] = []
        self._starts, self._kind_of = [0], list[int]()

    def add(self, kind: str, pairs: Sequence[Pair], realiser: Realiser, loaded: dict[ImageRef, np.ndarray]) -> None:
        sides = (side for pair in pairs for side in (pair.left, pair.right))
        refs = list(dict.fromkeys(side.image for side in sides if side.image is not None))
        refs = [ref for ref in refs if bytes.fromhex(ref.key) not in self._images]
        keys = [bytes.fromhex(ref.key) for ref in refs]
        self._pixels += list(realiser.load(refs, keys, loaded))
        self._images |= {key: len(self._images) + offset for offset, key in enumerate(keys)}
        for pair in pairs:
            self._rows.append((*self._input(pair.left), *self._input(pair.right)))
            self._right.append(bytes.fromhex(right_key(pair)))
        self._starts.append(len(self._rows))
        self._kind_of.append(self._kinds.setdefault(kind, len(self._kinds)))

    def _input(self, value: Input) -> tuple[int, int]:
        image = NO_IMAGE if value.image is None else self._images[bytes.fromhex(value.image.key)]
        return self._texts.setdefault(value.text, len(self._texts)), image

    def pixels(self) -> np.ndarray:
        return np.stack(self._pixels) if self._pixels else np.empty((0, self._side, self._side, 3), np.uint8)

    def arrays(self) -> dict[str, np.ndarray]:
        rows = np.array(self._rows, np.int32).reshape(-1, 4)
        texts = [text.encode() for text in self._texts]
        return {
            "left_text": rows[:, 0],
            "left_image": rows[:, 1],
            "right_text": rows[:, 2],
            "right_image": rows[:, 3],
            "right_key": _bytes(self._right),
            "image_key": _bytes(list(self._images), 32),
            "starts": np.array(self._starts, np.int64),
            "kinds": np.array(self._kind_of, np.int32),
            "kind_names": np.array(list(self._kinds), np.str_),
            "texts": np.frombuffer(b"".join(texts), np.uint8),
            "text_ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
        }


def _bytes(values: Sequence[bytes], width: int = 16) -> np.ndarray:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)


def _manifest(out: Path, plan: dict[str, Any], shards: Sequence[Shard], side: int) -> dict[str, Any]:
    rows = []
    for shard in shards:
        path = out / f"{shard.number:05d}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                counts = len(file["left_text"]), len(file["starts"]) - 1, len(file["image_key"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise UserError(f"{path} is damaged ({error}); delete it and give the same command again") from error
        rows.append(dict(zip(("pairs", "groups", "images"), counts, strict=True)) | {"number": shard.number})
        read_shard(out, rows[-1], side)
    total = {name: sum(row[name] for row in rows) for name in ("pairs", "groups", "images")}
    return {key: value for key, value in plan.items() if key != "shards"} | total | {"shards": rows}
