"""`--dry-run`: what a build would make, how much disk it takes and how long, measured on a small sample."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen import engines, virtual
from datagen.items import Placed
from datagen.making import make_item
from datagen.plan import Config, placed
from datagen.sources.types import Rejected, Source
from fuselip.core import seeds
from fuselip.core.shards import compact

SAMPLE = 24
# Tar headers, padding, index and record, as a share of the images; measured, and small beside them.
OVERHEAD = 1.02


@dataclass(frozen=True)
class Estimate:
    items: int
    rejected: int
    groups: int
    pairs: int
    bytes: int
    seconds: float
    shards: int
    sets: dict[str, int]
    reasons: dict[str, int]
    sampled: int
    free: int


def estimate(config: Config, source: Source, out: Path, workers: int = 1, root: Path | None = None) -> Estimate:
    """Lists the whole source (files are hashed once and remembered), makes SAMPLE of its items, writes nothing."""
    began = time.monotonic()
    rng = seeds.generator("dry-run", config.seed)
    kept: list[Placed] = []
    total = rejected = 0
    for each in placed(source, config.limit):
        total += 1
        if isinstance(each.item, Rejected):
            rejected += 1
        elif len(kept) < SAMPLE:
            kept.append(each)
        elif (slot := int(rng.integers(total - rejected))) < SAMPLE:
            kept[slot] = each  # every usable item is equally likely to be in the sample
    listing = time.monotonic() - began
    counts, sets, reasons = _make(config, kept, root)
    scale = (total - rejected) / max(len(kept), 1)
    seconds = listing + counts["microseconds"] / 1e6 * scale / min(workers, engines.cores())
    return Estimate(
        items=total,
        rejected=rejected,
        groups=round(counts["groups"] * scale),
        pairs=round(counts["pairs"] * scale),
        bytes=round(counts["bytes"] * scale * OVERHEAD),
        seconds=seconds,
        shards=-(-total // config.shard_items),
        sets={name: round(number * scale) for name, number in sorted(sets.items())},
        reasons=dict(reasons),
        sampled=len(kept),
        free=shutil.disk_usage(_existing(out)).free,
    )


def _make(config: Config, kept: list[Placed], root: Path | None) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """(totals, groups by set, rejects by reason) of the sample."""
    recipe = config.recipe()
    counts, sets, reasons = Counter[str](), Counter[str](), Counter[str]()
    rows: list[dict[str, Any]] = []
    for each in kept:
        began = time.monotonic()
        if config.virtual and not isinstance(each.item, Rejected):
            rows.append(virtual.row_of(each.position, each.item, config, root))
        else:
            made = make_item(recipe, config, each)
            reasons.update(reject.reason for reject in made.rejects)
            for name, record, pictures in made.samples:
                sets[name] += 1
                counts.update(groups=1, pairs=len(record["pairs"]))
                counts.update(bytes=sum(map(len, pictures)) + len(compact(record)) + 1024 * (len(pictures) + 1))
        counts["microseconds"] += round((time.monotonic() - began) * 1e6)
    if rows:
        counts.update(bytes=len(virtual.to_parquet(rows)))
    return counts, sets, reasons


def to_text(found: Estimate, workers: int) -> str:
    lines = [
        f"{found.items} source items ({found.rejected} unusable) in {found.shards} shards",
        f"about {found.groups} groups, {found.pairs} pairs",
        f"about {found.bytes / 1e6:.1f} MB of disk; {found.free / 1e6:.0f} MB are free",
        f"about {found.seconds:.0f} s with {workers} workers (measured on {found.sampled} items)",
        *(f"  {name}: about {count} groups" for name, count in found.sets.items()),
        *(f"  left out of the sample: {reason} {count}" for reason, count in found.reasons.items()),
    ]
    if found.bytes > found.free:
        lines.append("that is more than the disk has free")
    return "\n".join(lines) + "\n"


def _existing(path: Path) -> Path:
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)
