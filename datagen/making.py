"""Making one shard out of its items: the function that every engine runs, and that `verify` runs again.

What it does depends on the task alone. A shard is finished when its record stands; all else is written before, so that
a killed worker leaves nothing that counts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from datagen import index, virtual
from datagen.codecs import Codec
from datagen.items import Placed, Reject, digest, reject
from datagen.output import Record, Summed, part, record_file, remove_strays
from datagen.plan import Config, Job, Task, groups_of
from datagen.recipes import registry
from datagen.sources.types import Rejected, SourceItem
from datagen.types import Recipe, Skip
from fuselip.core import shards
from fuselip.core.errors import UserError
from fuselip.core.files import atomic, explain, write_json
from fuselip.core.shards import Encoded, ShardWriter, compact
from fuselip.core.types import Group, ImageRef


class Stopped(Exception):
    """The run was interrupted while this shard was being made; nothing of the shard is kept."""


@dataclass
class Made:
    """Samples of one item, ready to be written: (set name, record, images)."""

    samples: list[tuple[str, dict[str, Any], list[bytes]]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def make_item(recipe: Recipe, config: Config, placed: Placed) -> Made:
    """All groups of one item, encoded. An item that fails half-way gives nothing but its reason."""
    item = placed.item
    if isinstance(item, Rejected):
        return Made(rejects=[reject(placed, item.reason)])
    made = Made()
    encoded: dict[ImageRef, Encoded] = {}
    try:
        for found in groups_of(recipe, config.seed, config.epoch, item):
            if isinstance(found, Skip):
                made.rejects.append(Reject(placed.position, item.key, found.reason, found.detail, error=False))
            else:
                key = f"{placed.position:09d}-{len(made.samples):03d}"
                made.samples.append(_sample(key, found, item, config.codec, encoded))
    except UserError as error:
        return Made(rejects=[reject(placed, str(error))])
    except MemoryError:
        raise
    except Exception as error:  # a recipe's defect on one odd item must not end a long run; it is counted and told
        detail = f"{type(error).__name__}: {error}"
        return Made(rejects=[Reject(placed.position, item.key, "defect", detail, error=True)])
    return made


def _sample(
    key: str, group: Group, item: SourceItem, codec: Codec, encoded: dict[ImageRef, Encoded]
) -> tuple[str, dict[str, Any], list[bytes]]:
    refs = shards.distinct_images(group)
    if len(refs) > shards.MAX_IMAGES:
        raise UserError(f"a group of {len(refs)} images, more than {shards.MAX_IMAGES}; make smaller groups")
    # Edited images first: making one keeps the image it starts from, which is then ready to be encoded itself.
    for ref in sorted(refs, key=lambda ref: -len(ref.operations)):
        if ref not in encoded:
            encoded[ref] = codec.encode(ref.decode())
    pictures = [encoded[ref] for ref in refs]
    record = shards.record_of(key, group, pictures, item.image.source, item.origin, item.credit)
    return set_name(group, len(refs)), record, [picture.data for picture in pictures]


def set_name(group: Group, num_images: int) -> str:
    """Groups of one recipe and shape share a shard set: `captions-p1-i1` has 1 pair and 1 image a group."""
    recipe = re.sub(r"[^a-z0-9]+", "-", group.recipe.lower()).strip("-")
    return f"{recipe}-p{len(group.pairs)}-i{num_images}"


def make_shard(task: Task, stopped: Callable[[], bool]) -> Record:
    """Write the shard's files and, last, its record. Raises UserError when the disk is full, Stopped when told to."""
    record = Record(task.shard, digest(task.items), Counter(), {}, Counter(), 0)
    record.counts["items"] = len(task.items)
    rejects: list[Reject] = []
    try:
        if task.job.config.virtual:
            _write_virtual(task, record, rejects)
        else:
            _write_groups(task, record, rejects, stopped)
        _write_rejects(task, record, rejects)
        remove_strays(task.job.out, task.shard, record.files)
        write_json(record_file(task.job.out, task.shard), record.to_json())
    except OSError as error:
        raise explain(error, task.job.out) from error
    return record


def _write_groups(task: Task, record: Record, rejects: list[Reject], stopped: Callable[[], bool]) -> None:
    job, config = task.job, task.job.config
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    with ExitStack() as stack:
        open_sets = _OpenSets(stack, job, task.shard)
        for placed in task.items:
            if stopped():
                raise Stopped
            made = make_item(_recipe(job), config, placed)
            rejects += made.rejects
            for name, sample, pictures in made.samples:
                if sample["group"] in seen:
                    detail = "the same group was made earlier in this shard"
                    rejects.append(Reject(placed.position, sample["source"], "duplicate", detail, error=False))
                    continue
                seen.add(sample["group"])
                open_sets.add(name, sample, pictures)
                rows += index.rows(name, task.shard, sample, sum(map(len, pictures)), config)
                record.counts.update(groups=1, pairs=len(sample["pairs"]), images=len(pictures))
        open_sets.close(record)
    _put(task, record, part("index", task.shard, "parquet"), index.to_parquet(rows))


def _write_virtual(task: Task, record: Record, rejects: list[Reject]) -> None:
    rows = []
    for placed in task.items:
        if isinstance(placed.item, Rejected):
            rejects.append(reject(placed, placed.item.reason))
        else:
            rows.append(virtual.row_of(placed.position, placed.item, task.job.config, task.job.root))
    record.counts["rows"] = len(rows)
    _put(task, record, part("virtual", task.shard, "parquet"), virtual.to_parquet(rows))


def _write_rejects(task: Task, record: Record, rejects: list[Reject]) -> None:
    for each in rejects:
        record.rejects[each.reason] += 1
        record.errors += each.error
    if rejects:
        lines = "".join(compact(asdict(each)) + "\n" for each in rejects)
        _put(task, record, part("rejects", task.shard, "jsonl"), lines.encode())


def _put(task: Task, record: Record, name: str, data: bytes) -> None:
    with atomic(task.job.out / name) as stream:
        summed = Summed(stream)
        summed.write(data)
    record.files[name] = summed.entry()


class _OpenSets:
    """The tars of one shard, one for each shape of group met; they appear together when the stack closes."""

    def __init__(self, stack: ExitStack, job: Job, shard: int) -> None:
        self._stack, self._job, self._shard = stack, job, shard
        self._tars: dict[str, tuple[Summed, ShardWriter, Counter[str]]] = {}

    def add(self, name: str, sample: dict[str, Any], pictures: list[bytes]) -> None:
        if name not in self._tars:
            summed = Summed(self._stack.enter_context(atomic(self._job.out / self._path(name))))
            self._tars[name] = (summed, ShardWriter(summed, self._job.config.codec.extension), Counter())
        _, writer, counts = self._tars[name]
        writer.add(sample, pictures)
        counts.update(groups=1, pairs=len(sample["pairs"]), images=len(pictures))

    def close(self, record: Record) -> None:
        for name in sorted(self._tars):
            summed, writer, counts = self._tars[name]
            writer.close()
            record.files[self._path(name)] = {**summed.entry(), **counts}

    def _path(self, name: str) -> str:
        return part(f"data/{name}", self._shard, "tar")


def _recipe(job: Job) -> Recipe:
    return _recipe_of(job.config.builder, compact(dict(job.config.params)), job.config.version)


@lru_cache(maxsize=4)
def _recipe_of(builder: str, params: str, version: int) -> Recipe:
    """A worker makes its recipe once: some read word lists or fonts."""
    return registry.create(builder, json.loads(params), version)
