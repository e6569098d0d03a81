"""Reading a set again, all of it: every hash, every tar, every image, the index; and making a sample of it anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from datagen import engines, index, output, virtual
from datagen.making import make_item
from datagen.plan import Config, placed
from datagen.sources.types import Rejected, Source, SourceItem
from fuselip.core import images, seeds
from fuselip.core.errors import UserError
from fuselip.core.files import sha256_file
from fuselip.core.shards import Sample, Shard

MAX_PROBLEMS = 20


@dataclass
class Report:
    """`problems`: the first of them, in words; `found` counts all; `skipped`: what could not be checked, and why."""

    checked: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    found: int = 0
    skipped: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        self.found += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)

    def count(self, **numbers: int) -> None:
        for name, number in numbers.items():
            self.checked[name] = self.checked.get(name, 0) + number

    def merge(self, other: Report) -> None:
        for problem in other.problems:
            self.problem(problem)
        self.found += other.found - len(other.problems)
        self.count(**other.checked)


@dataclass(frozen=True)
class Part:
    """The files of one shard, by name, as the manifest has them."""

    out: Path
    shard: int
    config: Config
    files: Mapping[str, Mapping[str, Any]]


def verify(
    out: Path,
    source: Source | None = None,
    *,
    root: Path | None = None,
    sample: int = 20,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a complete set; with its `source`, make `sample` of its items again and compare the encoded bytes.

    Raises UserError where there is no complete set to check.
    """
    config, manifest = output.read_config(out), output.read_manifest(out)
    report = Report()
    _check_listing(out, manifest["files"], report)
    if manifest.get("config") != config.to_json():
        report.problem("manifest.json names another configuration than build.json")
    parts, rest = _split(out, config, manifest["files"])
    for name, entry in rest.items():
        report.count(files=1)
        if (out / name).is_file() and sha256_file(out / name) != entry["sha256"]:
            report.problem(f"{name} differs from its hash in the manifest")
    with closing(engines.run("local", check_part, parts, workers)) as results:
        for done, found in enumerate(results, 1):
            report.merge(found)
            if progress is not None:
                progress(done, len(parts))
    if not report.found:
        _check_counts(manifest, report)
    if source is None:
        report.skipped.append("no item was made again: the source is not known here; name it with --source")
    elif not report.found:
        for problem in rederive(out, config, source, sample, root, report):
            report.problem(problem)
    return report


def _check_listing(out: Path, files: Mapping[str, Mapping[str, Any]], report: Report) -> None:
    for name, entry in files.items():
        path = out / name
        if not path.is_file() or path.is_symlink():
            report.problem(f"{name} is missing")
        elif path.stat().st_size != entry["bytes"]:
            report.problem(f"{name} has {path.stat().st_size} bytes, not the manifest's {entry['bytes']}")
    for path in out.rglob("*"):
        name = path.relative_to(out).as_posix()
        if not path.is_dir() and name not in files and name not in output.UNLISTED:
            report.problem(f"{name} is not in the manifest")


def _split(
    out: Path, config: Config, files: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Part], dict[str, Mapping[str, Any]]]:
    """The files of each shard, and those of the whole set."""
    by_shard: dict[int, dict[str, Mapping[str, Any]]] = {}
    rest = {}
    for name, entry in files.items():
        stem = PurePosixPath(name).stem
        if name.partition("/")[0] in output.PARTS and stem.isdigit():
            by_shard.setdefault(int(stem), {})[name] = entry
        else:
            rest[name] = entry
    return [Part(out, shard, config, by_shard[shard]) for shard in sorted(by_shard)], rest


def check_part(part: Part, stopped: Callable[[], bool]) -> Report:
    """Every file of one shard. Problems are reported, never raised."""
    report = Report()
    for name, entry in part.files.items():
        report.count(files=1)
        path = part.out / name
        if path.is_file() and sha256_file(path) != entry["sha256"]:
            report.problem(f"{name} differs from its hash in the manifest")
    try:
        if part.config.virtual:
            _check_virtual(part, report)
        else:
            _check_groups(part, report, stopped)
        for line in _lines(part):
            json.loads(line)
    except (UserError, OSError, json.JSONDecodeError) as error:
        report.problem(str(error))
    return report


def _lines(part: Part) -> Iterator[str]:
    path = part.out / output.part("rejects", part.shard, "jsonl")
    if path.exists():
        with open(path, encoding="utf-8") as stream:
            yield from stream


def _check_groups(part: Part, report: Report, stopped: Callable[[], bool]) -> None:
    first, last = part.shard * part.config.shard_items, (part.shard + 1) * part.config.shard_items
    wanted: dict[str, dict[str, Any]] = {}
    for name in part.files:
        if not name.startswith("data/"):
            continue
        shard = Shard(part.out / name)
        for sample in shard:
            if stopped():
                return
            if not first <= int(sample.key.partition("-")[0]) < last:
                report.problem(f"{name}: {sample.key} does not belong into shard {part.shard}")
            size = _check_images(sample, name, report)
            rows = index.rows(PurePosixPath(name).parent.name, part.shard, sample.record, size, part.config)
            wanted |= {row["id"]: row for row in rows}
            report.count(groups=1, images=len(sample.images))
    where = output.part("index", part.shard, "parquet")
    for row in index.read(part.out / where):
        if wanted.pop(row["id"], None) != row:
            report.problem(f"{where}: the row {row['id']} is not what the shard holds")
        report.count(pairs=1)
    for missing in wanted:
        report.problem(f"{where} has no row {missing}")


def _check_images(sample: Sample, name: str, report: Report) -> int:
    """Decode the images of a sample; their bytes together."""
    total = 0
    for number, about in enumerate(sample.record["images"]):
        data = sample.image_bytes(number)
        total += len(data)
        where = f"{name}: image {number} of {sample.key}"
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            report.problem(f"{where} differs from its hash")
            continue
        try:
            size = images.decode_bytes(data, where).size
        except UserError as error:
            report.problem(str(error))
            continue
        if size != (about["width"], about["height"]):
            report.problem(f"{where} is {size[0]}x{size[1]}, not {about['width']}x{about['height']}")
    return total


def _check_virtual(part: Part, report: Report) -> None:
    config = part.config
    for row in index.read(part.out / output.part("virtual", part.shard, "parquet"), virtual.SCHEMA):
        found = (row["recipe"], row["version"], json.loads(row["params"]), row["seed"], row["epoch"])
        if found != (config.builder, config.version, dict(config.params), config.seed, config.epoch):
            report.problem(f"the virtual row of {row['key']} is of another configuration")
        report.count(rows=1)


def _check_counts(manifest: Mapping[str, Any], report: Report) -> None:
    for name in ("groups", "pairs", "images", "rows"):
        told = manifest.get("counts", {}).get(name, 0)
        if told != report.checked.get(name, 0):
            report.problem(f"the manifest counts {told} {name}, and there are {report.checked.get(name, 0)}")


def rederive(
    out: Path, config: Config, source: Source, sample: int, root: Path | None, report: Report
) -> Iterator[str]:
    """Make a seeded sample of items anew; yields what differs from the set."""
    total = output.read_manifest(out)["counts"]["items"]
    chosen = set(seeds.generator("verify", config.seed).choice(total, min(sample, total), replace=False).tolist())
    recipe = config.recipe()
    for each in islice(placed(source, config.limit), max(chosen, default=-1) + 1):
        if each.position not in chosen:
            continue
        report.count(rederived=1)
        if config.virtual:
            yield from _compare_row(out, config, each.position, each.item, root)
            continue
        made = make_item(recipe, config, each)
        held = dict(_held(out, config, each.position))
        repeated = {item["position"] for item in _rejects(out, each.position // config.shard_items, "duplicate")}
        for _, record, pictures in made.samples:
            stored = held.pop(record["key"], None)
            if stored is None and each.position in repeated:
                continue
            if stored is None or stored.record != record or _bytes(stored) != pictures:
                yield f"{record['key']} (item {record['source']}) made again differs from what the set holds"
        for key in held:
            yield f"{key} does not come of its source item {each.position} any more"


def _held(out: Path, config: Config, position: int) -> Iterator[tuple[str, Sample]]:
    task_shard = position // config.shard_items
    for path in sorted(out.glob(output.part("data/*", task_shard, "tar"))):
        shard = Shard(path)
        yield from ((key, shard.get(key)) for key in shard.keys if int(key.partition("-")[0]) == position)


def _bytes(sample: Sample) -> list[bytes]:
    return [sample.image_bytes(number) for number in range(len(sample.images))]


def _rejects(out: Path, shard: int, reason: str) -> Iterator[dict[str, Any]]:
    path = out / output.part("rejects", shard, "jsonl")
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            if (value := json.loads(line))["reason"] == reason:
                yield value


def _compare_row(
    out: Path, config: Config, position: int, item: SourceItem | Rejected, root: Path | None
) -> Iterator[str]:
    path = out / output.part("virtual", position // config.shard_items, "parquet")
    held = next((row for row in index.read(path, virtual.SCHEMA) if row["position"] == position), None)
    wanted = None if isinstance(item, Rejected) else virtual.row_of(position, item, config, root)
    if held != wanted:
        yield f"the virtual row of source item {position} differs from the source"
