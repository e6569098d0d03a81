"""All that a leaderboard would hold against a bundle, found on its owner's machine; and what only it can find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import tasks as registry
from fuselip.core.errors import UserError
from leaderboard import bundle as bundles
from leaderboard.bundle import Bundle, BundleError, Limits, TaskFiles
from leaderboard.redaction import differences, redacted
from leaderboard.types import Fault

if TYPE_CHECKING:
    from leaderboard.verify import Verdict


@dataclass
class Checked:
    """What was found. `scores` is {task: (metric, value)} as computed here; `unchecked` says what was not, and why."""

    faults: list[Fault] = field(default_factory=list)
    scores: dict[str, tuple[str, float]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    bundle: Bundle | None = None


def check(path: Path, cache: Path, data: Path | None = None, limits: Limits | None = None) -> Checked:
    """Check a bundle: its form, its metadata, what it gives away, and its scores against answers built here.

    `cache` is where answers are kept between checks, `data` the folder of the public sets. Never raises for a fault of
    the bundle.
    """
    try:
        found = bundles.read(path, limits)
    except BundleError as error:
        return Checked(error.faults)
    checked = Checked(bundle=found, faults=given_away(found))
    checked.unchecked.append("whether others submitted the same predictions: only the leaderboard knows theirs")
    checked.unchecked.append("whether the encoder is what its metadata says: a re-run with public weights tells")
    if (found.encoder.get("weights") or {}).get("source") is None:
        checked.unchecked.append("whether its weights are trained: the encoder does not say where they come from")
    if found.encoder.get("dim") is None:
        checked.unchecked.append("the dimension: the encoder does not say it")
    readable: dict[str, TaskFiles] = {}
    for name, files in found.tasks.items():
        try:
            assert files.predictions.variants["model"]
            readable[name] = files
        except BundleError as error:
            checked.faults += error.faults
    _verify(checked, replace(found, tasks=readable), cache, data)
    return checked


def given_away(found: Bundle) -> list[Fault]:
    """Texts of a bundle that `pack` would have cut: tokens, credentials, host names, folders."""
    told = {"encoder": found.encoder, "config": found.config, "provenance": found.provenance}
    mend = "make the bundle again with `fuselip-leaderboard pack`, which cuts it"
    plain = _plain(told)
    return [
        Fault(f"bundle.json: {place[:120]}", "gives away a folder, an address or a secret", mend)
        for place, _ in differences(plain, redacted(plain))
    ]


def _verify(checked: Checked, found: Bundle, cache: Path, data: Path | None) -> None:
    """Compute the scores again wherever the answers can be built on this machine."""
    from leaderboard.answers import Book
    from leaderboard.verify import verify

    book = Book(cache, data)
    here = {name: files for name, files in found.tasks.items() if not _why_not_here(checked, book, name, files)}
    if not here:
        return
    verdict: Verdict = verify(replace(found, tasks=here), book)
    checked.faults += verdict.faults
    checked.flags += verdict.flags
    checked.notes += verdict.notes
    checked.scores = {name: (each.sheet.metric, each.numbers.value) for name, each in verdict.scored.items()}


def _why_not_here(checked: Checked, book: Any, name: str, files: TaskFiles) -> bool:
    """Whether a task's answers need public data that is not here; it is then told to be unchecked."""
    try:
        if not registry.task(name).files:
            return False
        book.get(name, files.claim.version, files.claim.data_hash)
    except UserError as error:
        checked.unchecked.append(f"{name}: {error}")
        return True
    return False


def _plain(value: Any) -> Any:
    return {str(key): _plain(part) for key, part in value.items()} if isinstance(value, Mapping) else value
