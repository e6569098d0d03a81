"""A set's folder: who may write it, what each shard consists of, and when it is complete.

OUT/build.json                configuration; claims the folder
OUT/data/<set>/00000.tar      groups, one folder for each recipe and shape (see fuselip.core.shards), with sizes.json
OUT/index/00000.parquet       one row a pair
OUT/virtual/00000.parquet     in place of both, with --virtual: one row a source item
OUT/rejects/00000.jsonl       what was left out, and why
OUT/records/00000.json        what shard 0 consists of, with hashes; written last, so it marks the shard as finished
OUT/stats.json, README.md     counts; data set card
OUT/manifest.json             sha256 of every file above; written last, so it marks the set as complete
OUT/sessions.jsonl            when, where and how each session ran; the only file that differs between equal builds
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from datagen.codecs import software
from datagen.plan import Config
from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import explain, lock, read_json, write_json
from fuselip.core.types import content_hash

SCHEMA = 1
PARTS = ("data", "index", "virtual", "rejects", "records")
OURS = {*PARTS, "build.json", "stats.json", "README.md", "manifest.json", "sessions.jsonl", ".lock"}
UNLISTED = {"manifest.json", "sessions.jsonl", ".lock"}


@dataclass
class Record:
    """What a finished shard consists of. `files` maps a name to its bytes, sha256 and (tars) counts."""

    shard: int
    digest: str
    counts: Counter[str]
    files: dict[str, dict[str, Any]]
    rejects: Counter[str]
    errors: int

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "shard": self.shard,
            "digest": self.digest,
            "counts": dict(self.counts),
            "errors": self.errors,
            "rejects": dict(sorted(self.rejects.items())),
            "files": dict(sorted(self.files.items())),
        }

    @classmethod
    def read(cls, path: Path) -> Record:
        """Raises UserError where the file is damaged."""
        value = read_json(path)
        try:
            if value["schema"] != SCHEMA or not all(_inside(name) for name in value["files"]):
                raise ValueError("another schema, or file names that lead out")
            counts, rejects = Counter[str](value["counts"]), Counter[str](value["rejects"])
            return cls(
                int(value["shard"]), str(value["digest"]), counts, dict(value["files"]), rejects, value["errors"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); delete it and give the build's command again") from error


class Summed:
    """A binary stream that counts and hashes what is written to it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash, self._size = stream, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self._size += len(data)
        return self._stream.write(data)

    def entry(self) -> dict[str, Any]:
        return {"bytes": self._size, "sha256": self._hash.hexdigest()}


def part(folder: str, shard: int, extension: str) -> str:
    """A shard's file in one of the folders, relative to OUT."""
    return f"{folder}/{shard:05d}.{extension}"


def record_file(out: Path, shard: int) -> Path:
    return out / part("records", shard, "json")


def records(out: Path) -> Iterator[Record]:
    """The finished shards in order, one in memory at a time."""
    for shard in sorted(finished(out)):
        yield Record.read(record_file(out, shard))


def finished(out: Path) -> set[int]:
    folder = out / "records"
    names = os.listdir(folder) if folder.is_dir() else []
    return {int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()}


def remove_strays(out: Path, shard: int, keep: Iterable[str]) -> None:
    """Delete files of a shard that an earlier making of it left and this one did not make."""
    kept = {out / name for name in keep}
    for pattern in (part("data/*", shard, "tar"), part("rejects", shard, "jsonl")):
        for path in out.glob(pattern):
            if path not in kept:
                path.unlink()


@contextmanager
def claim(out: Path, config: Config, resume: bool = True) -> Iterator[None]:
    """Hold the folder for one configuration and one process.

    Raises UsageError where it holds another configuration, other files, a live run, or (resume=False) anything.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --out names a folder")
    with lock(out / ".lock", f"{out} belongs to a run that is still going on; wait for it to end"):
        strangers = sorted(p.name for p in out.iterdir() if p.name not in OURS and not p.name.endswith(".part"))
        if strangers and not (out / "build.json").exists():
            raise UsageError(
                f"{out} holds other files ({', '.join(strangers[:3])}); choose a new or empty --out folder"
            )
        if not resume and (out / "build.json").exists():
            raise UsageError(
                f"{out} holds a set already; leave out --no-resume to go on with it, or choose another --out"
            )
        _check_config(out, config)
        _sweep(out)
        try:
            yield
        finally:
            _sweep(out)  # Ctrl-C can fall between the making of a temporary file and the block that minds it


def _sweep(out: Path) -> None:
    for leftover in out.rglob(".*.part"):
        leftover.unlink(missing_ok=True)


def _check_config(out: Path, config: Config) -> None:
    path = out / "build.json"
    if not path.exists():
        write_json(path, {"schema": SCHEMA, "config": config.to_json(), "software": software()})
        return
    found = read_json(path)
    held = found.get("config") if isinstance(found, dict) else None
    if not isinstance(held, dict) or content_hash(held) != content_hash(config.to_json()):
        difference = _difference(held, config.to_json())
        raise UsageError(f"{out} holds another set ({difference}); choose another --out, or delete that folder")
    if found.get("software") != software():
        difference = _difference(found.get("software"), software())
        raise UsageError(
            f"{out} was begun with other versions ({difference}), which may write other bytes; install those again, or "
            "choose another --out"
        )


def _difference(held: Any, wanted: Mapping[str, Any]) -> str:
    """The first setting that differs, in words."""
    if not isinstance(held, dict):
        return "its build.json is not readable"
    for key in wanted:
        if held.get(key) != wanted[key]:
            return f"{key} was {json.dumps(held.get(key))}, is now {json.dumps(wanted[key])}"
    return "its settings differ"


def read_config(out: Path) -> Config:
    """The configuration of an existing set. Raises UserError where there is none."""
    if not (out / "build.json").is_file():
        raise UsageError(f"{out} holds no set (no build.json); check the spelling")
    found = read_json(out / "build.json")
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or not isinstance(found.get("config"), dict):
        raise UserError(f"{out / 'build.json'} is not of schema {SCHEMA}; it was made by another version")
    return Config.from_json(found["config"], out / "build.json")


def append_session(out: Path, session: Mapping[str, Any]) -> None:
    try:
        with open(out / "sessions.jsonl", "a", encoding="utf-8") as stream:
            stream.write(json.dumps(session, ensure_ascii=False) + "\n")
    except OSError as error:
        raise explain(error, out / "sessions.jsonl") from error


def last_session(out: Path) -> dict[str, Any]:
    """How the set was last built on this machine; empty where that is not known (a copy)."""
    path = out / "sessions.jsonl"
    if not path.exists():
        return {}
    for line in reversed(path.read_text("utf-8").splitlines()):
        try:
            value = json.loads(line)
        except json.JSONDecodeError:  # the last line of a session that was killed in it
            continue
        if isinstance(value, dict):
            return value
    return {}


def read_manifest(out: Path) -> dict[str, Any]:
    """Raises UserError where the set is not complete or its manifest is of another schema."""
    read_config(out)
    if not (out / "manifest.json").exists():
        raise UserError(f"{out} is not complete; give the build's command again to finish it")
    value = read_json(out / "manifest.json")
    files = value.get("files") if isinstance(value, dict) and value.get("schema") == SCHEMA else None
    if not isinstance(files, dict) or not all(_inside(name) and _is_entry(each) for name, each in files.items()):
        raise UserError(f"{out / 'manifest.json'} is no manifest of schema {SCHEMA}; it was edited or is damaged")
    return dict(value)


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("sha256"), str) and type(value.get("bytes")) is int


def _inside(name: str) -> bool:
    return not name.startswith(("/", "\\")) and ".." not in name.replace("\\", "/").split("/")
