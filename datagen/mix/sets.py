"""A built set as a mix sees it: its shards, and how many groups and pairs each holds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datagen import output, virtual
from datagen.mix.config import MixSet
from datagen.types import Skip
from fuselip.core.errors import UserError
from fuselip.core.files import sha256_file
from fuselip.core.types import Group

VIRTUAL = "virtual"
UNKNOWN = -1
SAMPLE = 500
_TEXTS = (("left_text", "left_image"), ("right_text", "right_image"))


@dataclass(frozen=True)
class Chunk:
    """A shard of a set. Of virtual sets `groups` counts source items, whose groups are drawn anew every epoch.

    `pairs`: of all its groups together; `unimodal`: those of them with one modality on each side (UNKNOWN: drawn).
    """

    set: str
    shape: str
    file: str
    groups: int
    pairs: int
    unimodal: int
    sha256: str


@dataclass(frozen=True)
class Built:
    """A set found on this machine. `groups`, `pairs`, `unimodal`: of the set once through, an estimate if `sampled`."""

    config: MixSet
    chunks: tuple[Chunk, ...]
    manifest: str
    groups: float
    pairs: float
    unimodal: float
    sampled: int = 0

    @property
    def virtual(self) -> bool:
        return self.chunks[0].shape == VIRTUAL


def missing(config: MixSet) -> str:
    """Why a set is not here, or an empty string."""
    if not config.path.is_dir():
        return f"{config.path} is no folder"
    if not (config.path / "build.json").is_file():
        return f"{config.path} holds no set (no build.json)"
    return "" if (config.path / "manifest.json").is_file() else f"{config.path} is not complete; finish its build"


def find(config: MixSet) -> Built:
    """Read a set's manifest, records and index. UserError where it is damaged, incomplete or not the preset's."""
    out = config.path
    manifest = output.read_manifest(out)
    _check_paper(config)
    unimodal = _unimodal(out)
    chunks = []
    for record in output.records(out):
        for name, entry in sorted(record.files.items()):
            path = PurePosixPath(name)
            if manifest["files"].get(name, {}).get("sha256") != entry["sha256"]:
                raise UserError(f"{out}: {name} is not what the manifest says; `fuselip-datagen verify` tells more")
            if path.suffix == ".tar":
                shape, key = path.parent.name, (path.parent.name, record.shard)
                counts = (entry["groups"], entry["pairs"], unimodal.get(key, 0))
                chunks.append(Chunk(config.name, shape, name, *counts, entry["sha256"]))
            elif path.parent.name == VIRTUAL and record.counts["rows"]:
                chunks.append(
                    Chunk(config.name, VIRTUAL, name, record.counts["rows"], UNKNOWN, UNKNOWN, entry["sha256"])
                )
    chunks.sort(key=lambda chunk: chunk.file)
    if not chunks:
        raise UserError(f"{out} holds no groups; leave the set {config.name!r} out of the mix")
    return _measured(config, tuple(chunks), sha256_file(out / "manifest.json"))


def _measured(config: MixSet, chunks: tuple[Chunk, ...], manifest: str) -> Built:
    items = sum(chunk.groups for chunk in chunks)
    if chunks[0].shape != VIRTUAL:
        pairs, unimodal = sum(chunk.pairs for chunk in chunks), sum(chunk.unimodal for chunk in chunks)
        return Built(config, chunks, manifest, items, pairs, unimodal)
    drawn = _draw(config, chunks)
    scale = items / max(drawn["items"], 1)
    return Built(
        config,
        chunks,
        manifest,
        drawn["groups"] * scale,
        drawn["pairs"] * scale,
        drawn["unimodal"] * scale,
        sampled=drawn["items"],
    )


def _draw(config: MixSet, chunks: Sequence[Chunk]) -> Counter[str]:
    """Groups of at most SAMPLE items from shards all over the set; whether their images can be read does not matter."""
    counts = Counter[str]()
    chosen = sorted(random.Random(0).sample(range(len(chunks)), min(len(chunks), 20)))
    for number in chosen:
        rows = pq.read_table(config.path / chunks[number].file).slice(0, -(-SAMPLE // len(chosen))).to_pylist()
        for row in rows:
            try:
                groups = [each for each in virtual.realise(row, 0, config.data_root) if not isinstance(each, Skip)]
            except UserError:
                continue
            counts["items"] += 1
            counts["groups"] += len(groups)
            counts["pairs"] += sum(len(group.pairs) for group in groups)
            counts["unimodal"] += sum(map(unimodal_pairs, groups))
    return counts


def unimodal_pairs(group: Group) -> int:
    """Pairs with a single modality on each side, such as an image and its caption."""
    return sum("image+text" not in (pair.left.modality, pair.right.modality) for pair in group.pairs)


def _unimodal(out: Path) -> Counter[tuple[str, int]]:
    """Unimodal pairs by (shard set, shard), from the index."""
    counts = Counter[tuple[str, int]]()
    for path in sorted((out / "index").glob("*.parquet")):
        for table in _tables(path):
            single = [pc.or_(pc.equal(table[text], ""), pc.less(table[image], 0)) for text, image in _TEXTS]
            kept = table.filter(pc.and_(*single)).group_by(["set", "shard"]).aggregate([([], "count_all")])
            for row in kept.to_pylist():
                counts[row["set"], row["shard"]] += row["count_all"]
    return counts


def _tables(path: Path) -> Iterator[pa.Table]:
    columns = ["set", "shard", *(name for side in _TEXTS for name in side)]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=65536, columns=columns):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); `fuselip-datagen verify` tells more") from error


def _check_paper(config: MixSet) -> None:
    """A set that stands for one of a preset must have been built as the paper has it."""
    paper = config.paper
    if paper is None:
        return
    found = output.read_config(config.path)
    wrong = []
    if paper.builder and found.builder != paper.builder:
        wrong.append(f"it was made by build-{found.builder}, not build-{paper.builder}")
    if paper.virtual is not None and found.virtual != paper.virtual:
        wrong.append(
            "it must be virtual, so that every epoch draws anew" if paper.virtual else "it must not be virtual"
        )
    wrong += [
        f"{key} is {found.params.get(key)!r}, not {value!r}"
        for key, value in paper.expect.items()
        if found.params.get(key) != value
    ]
    if wrong:
        raise UserError(
            f"{config.path} is not the preset's set {paper.name!r}: {'; '.join(wrong)}. It is: {paper.origin}"
        )
