"""From a finished run to a bundle: what may not be submitted is refused, what would give the machine away is cut."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import predictions
from benchmarks.results import result_to_json
from benchmarks.runs import RunFolder
from benchmarks.types import Result
from fuselip.core.errors import UserError
from fuselip.core.files import read_json
from leaderboard import bundle
from leaderboard import metadata as meta
from leaderboard.bundle import BundleError, Manifest
from leaderboard.redaction import differences, redact, redacted
from leaderboard.types import Fault


@dataclass(frozen=True)
class Packed:
    """A bundle that was written: what it holds, what was cut from it, and which of the run's tasks it leaves out."""

    path: Path
    sha256: str
    manifest: Manifest
    tasks: tuple[str, ...]
    cut: tuple[tuple[str, str], ...]
    left_out: Mapping[str, str]


def pack(run: Path, metadata: Path, out: Path) -> Packed:
    """Write the bundle of a finished run, in a way that gives the same bytes each time.

    Raises BundleError with everything that is wrong at once; nothing is then written.
    """
    faults: list[Fault] = []
    about, wrong = _metadata(metadata)
    faults += wrong
    try:
        summary = read_summary(run)
    except BundleError as error:
        raise BundleError([*faults, *error.faults]) from error
    told, wrong = _told(summary)
    faults += wrong + list(_unfit(summary))
    if about:
        faults += meta.contradictions(about, told, scored_as(summary), where=str(metadata))
    results, left_out, wrong = _results(RunFolder(run), summary)
    faults += wrong
    if faults or about is None:
        raise BundleError(faults)
    manifest = Manifest(
        schema=bundle.SCHEMA,
        metadata=msgspec.to_builtins(about),
        encoder=told,
        config={**summary["config"], "scored as": scored_as(summary)},
        provenance=summary["provenance"],
        suite=str(summary.get("suite", "")),
        files={},
        throughput=_throughput(summary),
    )
    plain = {key: value for key, value in msgspec.to_builtins(manifest).items() if key not in ("metadata", "files")}
    clear = redacted(plain)
    cut = tuple(differences(plain, clear))
    clean = msgspec.convert({**clear, "metadata": manifest.metadata, "files": {}}, Manifest)
    files = dict(_files(RunFolder(run), results))
    return Packed(out, bundle.write(out, clean, files), clean, tuple(sorted(results)), cut, left_out)


def _metadata(path: Path) -> tuple[meta.Metadata | None, list[Fault]]:
    try:
        return meta.parse(read_json(path), str(path))
    except (UserError, OSError, RecursionError) as error:
        return None, [Fault(str(path), str(error), "give a JSON file with --metadata")]


def read_summary(run: Path) -> dict[str, Any]:
    """What a finished run says of itself. Raises BundleError where it says nothing, or not all of it."""
    try:
        summary = RunFolder(run).summary()
    except UserError as error:
        raise BundleError([Fault(str(run), str(error), "finish the run first")]) from error
    odd = [key for key in ("config", "provenance", "model") if not isinstance(summary.get(key), dict)]
    if odd:
        what = f"lacks {', '.join(odd)}: it was edited, or made by another version"
        raise BundleError([Fault(str(run / "summary.json"), what, "run again with this version")])
    if summary["model"].get("dim") is None:  # an encoder need not say it: the run saw its vectors
        summary["model"] = {**summary["model"], "dim": (summary.get("embedding") or {}).get("dim")}
    return summary


def _told(summary: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """What the run recorded of its encoder, and whether its weights are trained."""
    encoder = {**summary["model"], "weights": summary.get("weights")}
    return encoder, bundle.untrained(encoder)


def _unfit(summary: Mapping[str, Any]) -> Iterator[Fault]:
    """Why a run cannot be compared with others: it asked other questions than everyone is asked."""
    config = summary["config"]
    if config.get("limit") is not None:
        yield Fault("run.limit", f"only {config['limit']} source images were used", "run again without --limit")
    if config.get("source") is not None:
        yield Fault("run.source", "other pictures than the suite's were used", "run again without --source")
    if config.get("seed", 0) != 0:
        yield Fault("run.seed", f"questions were drawn with seed {config['seed']}", "run again without --seed")


def scored_as(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What was scored of the vectors, where it was not all of them."""
    config, found = summary["config"].get("scored as"), summary.get("scored_as")
    if not isinstance(config, dict):
        return {}
    asked = {"dim": config.get("truncate_dim"), "quantise": config.get("quantise")}
    return {**{key: value for key, value in asked.items() if value}, **(found if isinstance(found, dict) else {})}


def _results(run: RunFolder, summary: Mapping[str, Any]) -> tuple[dict[str, Result], dict[str, str], list[Fault]]:
    """The results of the run's scored tasks; what is left out, and why; and what is unfinished or unreadable."""
    found: dict[str, Result] = {}
    faults = []
    left_out = {str(key): str(why) for key, why in dict(summary.get("left_out") or {}).items()}
    for name in summary["config"].get("tasks", {}):
        if name in (summary.get("submissions") or {}):
            left_out[name] = "its publisher's server holds the answers"
            continue
        try:
            result = run.finished(name)
        except UserError as error:
            faults.append(Fault(name, str(error), "run the task again in a new folder"))
            continue
        if result is None:
            faults.append(Fault(name, "is not finished", "give the run's command again: it resumes"))
            continue
        found[name] = result
    if not found and not faults:
        faults.append(Fault(str(run.path), "has no scored task", "run a suite, such as `--suite core`"))
    return found, left_out, faults


def _files(run: RunFolder, results: Mapping[str, Result]) -> Iterator[tuple[str, bytes]]:
    """The members of the bundle: claims without folders in their notes, predictions of the encoder alone."""
    with tempfile.TemporaryDirectory(prefix="fuselip-pack-") as folder:
        path = Path(folder) / "predictions.parquet"
        for name, result in results.items():
            claim = replace(
                result,
                skipped=redacted(list(result.skipped)),
                notes=redacted(list(result.notes)),
                warnings=redacted(list(result.warnings)),
            )
            value = msgspec.json.encode(result_to_json(claim), order="deterministic")
            yield f"{bundle.folder_of(name)}/result.json", msgspec.json.format(value, indent=1) + b"\n"
            file = predictions.read(run.task(name) / "predictions.parquet")
            kept = {variant: rows for variant, rows in file.variants.items() if variant in bundle.VARIANTS}
            predictions.write(path, kept, {key: redact(text) for key, text in file.header.items()})
            yield f"{bundle.folder_of(name)}/predictions.parquet", path.read_bytes()


def _throughput(summary: Mapping[str, Any]) -> dict[str, Any]:
    """How fast the encoder was, where the run encoded everything itself; {} where it used vectors made before."""
    made, machine = summary.get("embedding") or {}, summary["provenance"]
    seconds = made.get("encode_seconds") or 0
    if not seconds or made.get("reused_batches") or not made.get("encoded_batches"):
        return {}
    return {
        "inputs": made["inputs"],
        "seconds": seconds,
        "inputs_per_second": made["inputs"] / seconds,
        "peak_memory_mb": summary.get("peak_memory_mb"),
        "precision": summary["model"].get("precision"),
        "processes": made.get("processes", 1),
        "machine": {key: machine.get(key) for key in ("cpu", "cores", "platform")},
    }
