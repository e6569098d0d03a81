"""Completing a folder whose shards all stand: counts, card, and last the manifest with the hash of every file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from datagen import output
from datagen.card import card
from datagen.plan import Config
from fuselip.core.files import read_json, sha256_file, write_bytes, write_json
from fuselip.core.provenance import version


def complete(out: Path, config: Config) -> None:
    """Nothing here depends on time or machine: equal builds end with equal manifests."""
    if (out / "manifest.json").exists():
        return
    files: dict[str, dict[str, Any]] = {}
    counts, rejects = Counter[str](), Counter[str]()
    sets: dict[str, Counter[str]] = {}
    sizes: dict[str, dict[str, int]] = {}
    for record in output.records(out):
        counts.update(record.counts)
        rejects.update(record.rejects)
        counts.update(shards=1, errors=record.errors)
        name = output.part("records", record.shard, "json")
        files[name] = _entry(out / name)
        for name, entry in record.files.items():
            files[name] = {"bytes": entry["bytes"], "sha256": entry["sha256"]}
            path = PurePosixPath(name)
            if path.suffix == ".tar":
                counted = sets.setdefault(path.parent.name, Counter())
                counted.update({key: value for key, value in entry.items() if key != "sha256"}, shards=1)
                sizes.setdefault(path.parent.name, {})[path.name] = entry["groups"]
    stats = {
        "counts": dict(sorted(counts.items())),
        "rejects": dict(sorted(rejects.items())),
        "sets": {name: dict(sorted(sets[name].items())) for name in sorted(sets)},
    }
    for stray in (out / "data").glob("*/sizes.json"):
        if stray.parent.name not in sizes:  # of a set that a retry has emptied
            stray.unlink()
    for name, entries in sizes.items():
        write_json(out / "data" / name / "sizes.json", entries)  # as open_clip reads it
    write_json(out / "stats.json", stats)
    write_bytes(out / "README.md", card(config, stats).encode())
    own = ["build.json", "stats.json", "README.md", *(f"data/{name}/sizes.json" for name in sizes)]
    files |= {name: _entry(out / name) for name in own}
    manifest = {
        "schema": output.SCHEMA,
        "fuselip": version("fuselip"),
        **{key: value for key, value in read_json(out / "build.json").items() if key != "schema"},
        **stats,
        "files": dict(sorted(files.items())),
    }
    data = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(out / "manifest.json", data.encode())


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
