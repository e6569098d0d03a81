"""The bundle: one zip that holds all that a leaderboard needs of a run; written byte for byte the same, read safely.

bundle.json                            who, what, where, and the sha256 of every other member
tasks/<name>/predictions.parquet       what the encoder answered, alone and with half of each query (`/` as `__`)
tasks/<name>/result.json               what the submitter's run said of it: a claim
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.results import result_from_json
from benchmarks.types import Result
from fuselip.core.errors import UserError
from fuselip.core.files import atomic
from leaderboard import json_guard
from leaderboard import metadata as meta
from leaderboard.metadata import Metadata
from leaderboard.parquet_guard import ParquetLimits, examine
from leaderboard.types import Fault
from leaderboard.zip_guard import Archive, Limits, open_zip

if TYPE_CHECKING:
    from benchmarks.predictions import PredictionFile

__all__ = ["Bundle", "BundleError", "Limits", "Manifest", "TaskFiles", "folder_of", "read", "write"]

SCHEMA = 1
MANIFEST = "bundle.json"
VARIANTS = ("model", "image_only", "text_only")
"""What is kept of a run's predictions: what its encoder answered. Controls are computed again by the leaderboard."""
RANDOM = "[random init]"
"""How a run marks an encoder of untrained weights (`EncoderInfo.label`)."""

_MEMBER = re.compile(r"bundle\.json|tasks/([A-Za-z0-9][A-Za-z0-9._+@-]{0,119})/(predictions\.parquet|result\.json)")
_AGAIN = "make it again with `fuselip-leaderboard pack`"


class BundleError(UserError):
    """A bundle that is not taken. `faults` is all that is wrong with it, as far as could be seen."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = list(faults)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """bundle.json. `encoder` is what the run recorded of it (`EncoderInfo`, "weights", "origin").

    `throughput` is {} or inputs, seconds, inputs_per_second, peak_memory_mb and machine, as measured by the run.
    """

    schema: int
    metadata: dict[str, Any]
    encoder: dict[str, Any]
    config: dict[str, Any]
    provenance: dict[str, Any]
    suite: str
    files: dict[str, str]
    throughput: dict[str, Any] = {}


@dataclass(frozen=True)
class TaskFiles:
    """One task of a bundle. `claim` is what its submitter says of it, in kind a Result, in numbers not checked."""

    claim: Result
    _load: Callable[[], PredictionFile]

    @property
    def predictions(self) -> PredictionFile:
        """Read at every access, so that only one task need be in memory: keep it in a local name.

        Raises BundleError for a file that contradicts itself, the claim, or what is safe to read.
        """
        return self._load()


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read: whole, in form and within the limits. Its numbers are claims still."""

    sha256: str
    metadata: Metadata
    encoder: Mapping[str, Any]
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    suite: str
    tasks: Mapping[str, TaskFiles]
    throughput: Mapping[str, Any]


def folder_of(task: str) -> str:
    """The folder of a task within a bundle, as in a run."""
    return f"tasks/{task.replace('/', '__')}"


def write(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Write the bundle, whole or not at all; its sha256. Equal content gives equal bytes, with any zlib: none is used.

    `manifest.files` is filled in here. Raises BundleError where it is larger than a leaderboard takes.
    """
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    told = msgspec.json.encode(msgspec.structs.replace(manifest, files=hashes), order="deterministic")
    members = {MANIFEST: msgspec.json.format(told, indent=1) + b"\n", **files}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, strict_timestamps=True) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, members[name])
    data = buffer.getvalue()
    if len(data) > Limits().bytes:
        what = f"would have {len(data)} bytes, more than the {Limits().bytes} that are taken"
        raise BundleError([Fault(str(path), what, "run fewer tasks")])
    with atomic(path) as stream:
        stream.write(data)
    return hashlib.sha256(data).hexdigest()


def read(path: Path, limits: Limits | None = None) -> Bundle:
    """Read a stranger's bundle without executing, unpacking to disk or believing anything of it.

    Raises BundleError with all faults at once: those of the zip, or else those of its members.
    """
    limits = limits or Limits()
    try:
        with open(path, "rb") as stream:
            data = stream.read(limits.bytes + 1)
    except OSError as error:
        raise BundleError([Fault(str(path), f"cannot be read ({error.strerror})", "check its name")]) from None
    return from_bytes(data, limits)


def from_bytes(data: bytes, limits: Limits) -> Bundle:
    """As `read`, of a file's content."""
    archive, faults = open_zip(data, _MEMBER, limits)
    if archive is None:
        raise BundleError(faults)
    contents: dict[str, bytes] = {}
    for name, info in archive.members.items():
        most = limits.member if name.endswith(".parquet") else limits.json
        try:
            if info.file_size > most:
                raise ValueError(f"has more than {most} bytes")
            contents[name] = archive.read(name)
        except ValueError as error:
            faults.append(Fault(name, str(error), _AGAIN))
    if faults:
        raise BundleError(faults)
    if MANIFEST not in contents:
        raise BundleError([Fault(MANIFEST, "is missing", _AGAIN)])
    return _bundle(hashlib.sha256(data).hexdigest(), archive, contents)


def _bundle(digest: str, archive: Archive, contents: dict[str, bytes]) -> Bundle:
    manifest, faults = _manifest(contents.pop(MANIFEST))
    if manifest is None:
        raise BundleError(faults)
    metadata, wrong = meta.parse(manifest.metadata)
    faults += wrong + _hashes(manifest, contents) + untrained(manifest.encoder)
    if metadata:
        scored_as = manifest.config.get("scored as")
        faults += meta.contradictions(metadata, manifest.encoder, scored_as if isinstance(scored_as, dict) else {})
    tasks = {}
    for folder in sorted({name.rpartition("/")[0] for name in contents}):
        task, wrong = _task(folder, archive, contents)
        faults += wrong
        if task:
            tasks[task.claim.name] = task
    if not tasks and not faults:
        faults.append(Fault("tasks/", "holds no task", "pack a run that finished at least one"))
    if faults or metadata is None:
        raise BundleError(faults)
    return Bundle(
        digest,
        metadata,
        manifest.encoder,
        manifest.config,
        manifest.provenance,
        manifest.suite,
        tasks,
        manifest.throughput,
    )


def untrained(encoder: Mapping[str, Any]) -> list[Fault]:
    """That the encoder ran on random weights, where its record says so."""
    weights = encoder.get("weights")
    label = f"{encoder.get('name')} {encoder.get('label')}"
    if (isinstance(weights, dict) and weights.get("source") == "random") or RANDOM in label:
        return [Fault("encoder.weights", "are a random initialisation", "run trained weights (--weights)")]
    return []


def _manifest(data: bytes) -> tuple[Manifest | None, list[Fault]]:
    value, why = json_guard.decode(data)
    if why:
        return None, [Fault(MANIFEST, why, _AGAIN)]
    try:
        manifest = msgspec.convert(value, Manifest)
    except msgspec.ValidationError as error:
        return None, [Fault(MANIFEST, f"is not as we write it ({str(error)[:200]})", _AGAIN)]
    if manifest.schema != SCHEMA:
        return None, [
            Fault(MANIFEST, f"is of schema {manifest.schema}, not {SCHEMA}", "use the same version of fuselip")
        ]
    return manifest, []


def _hashes(manifest: Manifest, contents: Mapping[str, bytes]) -> list[Fault]:
    faults = []
    for name in sorted({*manifest.files, *contents}):
        if name not in contents:
            faults.append(Fault(name[:200], "is listed but not there", _AGAIN))
        elif name not in manifest.files:
            faults.append(Fault(name, "is there but not listed", _AGAIN))
        elif hashlib.sha256(contents[name]).hexdigest() != manifest.files[name]:
            faults.append(Fault(name, "does not have the sha256 that is listed of it: it was changed", _AGAIN))
    return faults


def _task(folder: str, archive: Archive, contents: Mapping[str, bytes]) -> tuple[TaskFiles | None, list[Fault]]:
    claim_name, file_name = f"{folder}/result.json", f"{folder}/predictions.parquet"
    lacking = [name for name in (claim_name, file_name) if name not in contents]
    if lacking:
        return None, [Fault(name, "is missing", _AGAIN) for name in lacking]
    faults = []
    claim = None
    value, why = json_guard.decode(contents[claim_name])
    if why:
        faults.append(Fault(claim_name, why, _AGAIN))
    else:
        try:
            claim = result_from_json(value, claim_name)
        except UserError as error:
            faults.append(Fault(claim_name, str(error)[:300].removeprefix(f"{claim_name}: "), _AGAIN))
    if claim and folder_of(claim.name) != folder:
        faults.append(Fault(claim_name, f"is of another task ({claim.name[:120]!r})", _AGAIN))
    from benchmarks.predictions import COLUMNS

    why = examine(contents[file_name], COLUMNS, ParquetLimits())
    if why:
        faults.append(Fault(file_name, why, _AGAIN))
    if faults or claim is None:
        return None, faults
    told = claim
    return TaskFiles(told, lambda: _predictions(file_name, archive.read(file_name), told)), []


def _predictions(where: str, data: bytes, claim: Result) -> PredictionFile:
    """Read again from bytes that `examine` has passed, and compared with what the claim is of."""
    from benchmarks import predictions

    try:
        file = predictions.read(_Held(data, where))
    except (ValueError, TypeError, RecursionError) as error:  # a UserError is a ValueError
        raise BundleError([Fault(where, str(error)[:400].removeprefix(where).strip(), _AGAIN)]) from None
    says = {"task": claim.name, "version": str(claim.version), "data_hash": claim.data_hash}
    faults = [
        Fault(where, f"says {key} {file.header[key][:120]!r}, its result.json {told!r}", _AGAIN)
        for key, told in says.items()
        if file.header[key] != told
    ]
    strange = sorted(set(file.variants) - set(VARIANTS))
    if strange:
        faults.append(Fault(where, f"holds variants that no bundle does ({', '.join(strange)})", _AGAIN))
    if file.header.get("encoder", "").endswith(RANDOM):
        faults += untrained({"label": RANDOM})
    if faults:
        raise BundleError(faults)
    return file


class _Held(io.BytesIO):
    """A file in memory that tells its name in messages."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self._name = name

    def __str__(self) -> str:
        return self._name

    def __format__(self, spec: str) -> str:
        return self._name
