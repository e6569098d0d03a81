"""Fetching what tasks read: each file once, archives unpacked, all recorded with their sha256, nothing replaced."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import unquote, urlsplit

from benchmarks.download import Downloaded, download
from benchmarks.fetched import Entry, Record, difference
from benchmarks.tasks.folder import DataFolder
from benchmarks.types import DataFile, TaskContext, TaskSpec
from benchmarks.unpack import Unpacked, is_archive, unpack
from datagen.fetch.guard import Limits
from datagen.sources.inside import inside
from fuselip.core.errors import UserError
from fuselip.core.files import lock, sha256_file

State = Literal["fetched", "intact", "there", "by hand", "failed"]
DOWNLOADS = ".downloads"
"""Where archives lie, under the data folder, until they are unpacked."""

_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[^/\s]+)/(?P<path>\S+)")


@dataclass(frozen=True)
class Options:
    """`limits.max_bytes` is for each file, and for what an archive unpacks to; `quick` compares sizes, not hashes."""

    limits: Limits = field(default_factory=lambda: Limits(max_bytes=100 << 30))
    offline: bool = False
    quick: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one file. "there": it was not fetched by us, so that nothing can be said of its content."""

    path: str
    state: State
    note: str = ""


class Listener(Protocol):
    """Hears what is begun ("fetching x"), and the bytes of it that have come, of all (None = unknown)."""

    def start(self, what: str) -> None: ...

    def progress(self, done: int, total: int | None) -> None: ...


class Silent:
    """A Listener that tells nobody."""

    def start(self, what: str) -> None:
        return

    def progress(self, done: int, total: int | None) -> None:
        return


def wanted(specs: Iterable[TaskSpec]) -> dict[str, tuple[TaskSpec, DataFile]]:
    """Every file that the tasks read, by its path, with a task that reads it."""
    found: dict[str, tuple[TaskSpec, DataFile]] = {}
    for spec in specs:
        for file in spec.files:
            found.setdefault(file.path, (spec, file))
    return found


def by_program(file: DataFile) -> bool:
    """Whether a program may fetch it: where `how` is given, a person has to do something first."""
    return bool(file.url) and not file.how


def find(spec: TaskSpec, file: DataFile, root: Path) -> Path | None:
    """Where the file lies, None where it does not."""
    try:
        return DataFolder(spec, TaskContext(data=root)).path(file.path)
    except UserError:
        return None


def fetch(specs: Sequence[TaskSpec], root: Path, options: Options, listener: Listener | None = None) -> list[Outcome]:
    """Bring every file of the tasks to the data folder `root`; those that are there are checked and stay as they are.

    A file that cannot be had does not stop the others: its Outcome is "failed". Raises UsageError while another
    program fetches to the same folder.
    """
    listener = listener or Silent()
    with lock(root / ".fetch.lock", f"another `fetch` works in {root}; wait for it to end"):
        record = Record(root)
        outcomes: dict[str, Outcome] = {}
        missing: dict[str, list[DataFile]] = {}
        for path, (spec, file) in wanted(specs).items():
            place = find(spec, file, root)
            if place is not None:
                outcomes[path] = _present(path, place, record, options, listener)
            elif not by_program(file):
                outcomes[path] = Outcome(path, "by hand", file.how or "copy it there from its publisher")
            elif options.offline:
                outcomes[path] = Outcome(path, "failed", f"--offline: not fetched from {file.url}")
            else:
                missing.setdefault(file.url, []).append(file)
        for url, files in missing.items():
            for outcome in _bring(url, files, root, record, options, listener):
                outcomes[outcome.path] = outcome
    return [outcomes[path] for path in wanted(specs)]


def _present(path: str, place: Path, record: Record, options: Options, listener: Listener) -> Outcome:
    entry = record.get(path)
    if entry is None:
        return Outcome(path, "there", "not fetched by this program")
    listener.start(f"checking {path}")
    if fault := difference(place, entry, options.quick):
        return Outcome(path, "failed", f"{place} {fault}; delete it and fetch it again")
    return Outcome(path, "intact")


def _bring(
    url: str, files: list[DataFile], root: Path, record: Record, options: Options, listener: Listener
) -> Iterator[Outcome]:
    """Download once, and put each file of it to its place. Ctrl-C leaves what has come to be gone on with."""
    name = file_name(url)
    packed = [file for file in files if is_packed(file)]
    for file in files:
        if file not in packed:
            yield _guarded(file, lambda file=file: _plain(file, root, record, options, listener))
    if not packed:
        return
    archive = root / DOWNLOADS / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    before = next((entry for file in packed if (entry := record.get(file.path)) and entry.url == url), None)
    try:
        listener.start(f"fetching {name}")
        got = _get(url, archive, before.download_sha256 if before else "", options, listener)
    except UserError as error:
        yield from (Outcome(file.path, "failed", str(error)) for file in packed)
        return
    outcomes = [
        _guarded(file, lambda file=file: _unpacked(file, archive, got, root, record, options)) for file in packed
    ]
    if all(outcome.state == "fetched" for outcome in outcomes):  # else the next try need not fetch it again
        archive.unlink()
    yield from outcomes


def _guarded(file: DataFile, work: Any) -> Outcome:
    try:
        work()
    except UserError as error:
        return Outcome(file.path, "failed", str(error))
    return Outcome(file.path, "fetched", file.url)


def _plain(file: DataFile, root: Path, record: Record, options: Options, listener: Listener) -> None:
    before = record.get(file.path)
    listener.start(f"fetching {file.path}")
    expected = before.download_sha256 if before and before.url == file.url else ""
    got = _get(file.url, inside(root, file.path), expected, options, listener)
    record.add(file.path, _entry(file, got, Unpacked(1, got.bytes, got.sha256)))


def _unpacked(file: DataFile, archive: Path, got: Downloaded, root: Path, record: Record, options: Options) -> None:
    target = inside(root, file.path)
    made = unpack(archive, file.member, target, options.limits.max_bytes, file_name(file.url))
    record.add(file.path, _entry(file, got, made))


def _entry(file: DataFile, got: Downloaded, made: Unpacked) -> Entry:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(file.url, made.sha256, made.bytes, made.files, got.sha256, when, got.etag)


def file_name(url: str) -> str:
    """The last part of an address's path."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def is_packed(file: DataFile) -> bool:
    """Whether the address is of an archive that is to be unpacked; some tasks read archives as they are."""
    return bool(file.member) or (is_archive(file_name(file.url)) and not is_archive(file.path))


def _get(url: str, path: Path, expected: str, options: Options, listener: Listener) -> Downloaded:
    if path.exists():  # an archive that could not be unpacked, for want of space
        return Downloaded(sha256_file(path), path.stat().st_size, "")
    if url.startswith("hf:"):
        return _from_hub(url, path, expected, options.limits)
    return download(url, path, options.limits, listener.progress, expected=expected)


def _from_hub(url: str, path: Path, expected: str, limits: Limits) -> Downloaded:
    """A file of a data set on the Hugging Face hub, by the hub's own client: it knows the user's token, and resumes."""
    parts = _HUB.fullmatch(url)
    if parts is None or ".." in parts["path"].split("/"):
        raise UserError(f"{url!r} does not name a file on the hub; it is written hf:OWNER/NAME@REVISION/PATH")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    where: Any = {"repo_id": parts["repo"], "repo_type": "dataset", "revision": unquote(parts["revision"])}
    holding = path.parent / f".{path.name}.hub"
    try:
        about = get_hf_file_metadata(hf_hub_url(filename=parts["path"], **where))
        if (about.size or 0) > limits.max_bytes:
            raise UserError(f"{url} has {about.size} bytes, more than --max-size allows; raise it")
        found = Path(hf_hub_download(filename=parts["path"], local_dir=holding, **where))
    except UserError:
        raise
    except Exception as error:  # the HTTP library's own errors differ between versions of huggingface_hub
        raise UserError(
            f"{url} could not be fetched ({_first_line(error)}); see that the network and your token reach it"
        ) from error
    got = Downloaded(sha256_file(found), found.stat().st_size, about.etag or "")
    if expected and got.sha256 != expected:
        raise UserError(f"{url} is no longer the file that was fetched before; name a fixed revision")
    os.replace(found, path)
    shutil.rmtree(holding)
    return got


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
