"""Verification: a submission ranked again from its listed scores, against our answers; its own numbers are only claims.

What may not differ is a Fault that names the first difference; what is odd but possible is a flag; see `verify`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.metrics import METRICS
from benchmarks.predictions import PredictionFile
from benchmarks.results import Numbers, numbers, result_to_json
from benchmarks.score import TIE
from benchmarks.types import Prediction, Result
from fuselip.core.errors import UserError
from leaderboard import copies
from leaderboard.again import Again, difference
from leaderboard.answers import Book, Known
from leaderboard.bundle import Bundle, BundleError
from leaderboard.types import Answer, Badge, Fault, Scored

COSINE = 1e-5
"""How far rounding may carry the product of two unit vectors beyond 1."""

TIES = 0.05
"""Share of questions with a tie in the first place from which on it is flagged."""

LONGEST = 400
_AGAIN = "pack the run again as it was written, without editing it"


@dataclass
class Verdict:
    """What verification found. `scored` holds the tasks without a fault; `prints` are kept to find copies later."""

    faults: list[Fault] = field(default_factory=list)
    scored: dict[str, Scored] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    prints: dict[str, copies.Print] = field(default_factory=dict)

    @property
    def badge(self) -> Badge | None:
        """None where it is refused."""
        return None if self.faults else Badge.CONSISTENT


def verify(bundle: Bundle, book: Book, *, others: Iterable[copies.Other] = ()) -> Verdict:
    """All tasks of a bundle; every fault of a kind and task at once.

    Refused: a task, version or data that is not ours; questions left out or asked twice; candidates outside the pool;
    an order, rank, answer, pool, cluster, group or tag that is not what our data and the listed scores give; a claimed
    number that does not follow (but that of the random control, which rests on rounding); rankings that are another
    owner's. Flagged: collapse, ties, near copies, scores that are no cosines, no declared fingerprint.
    """
    verdict, odd = Verdict(), Oddities()
    for name, files in sorted(bundle.tasks.items()):
        where = shown(name)
        try:
            known = book.known(name, files.claim.version, files.claim.data_hash)
            file = files.predictions
        except BundleError as error:
            verdict.faults += error.faults
            continue
        except UserError as error:
            mend = "run the task as `fuselip-bench run` asks it by default, and pack that run"
            verdict.faults.append(Fault(where, shown(str(error)), mend))
            continue
        checked = check_task(known, files.claim, file)
        verdict.faults += checked.faults
        verdict.notes += checked.notes
        if checked.scored:
            verdict.scored[name] = checked.scored
            odd.look(checked.scored, known.probe)
    verdict.flags += odd.flags()
    if not bundle.encoder.get("fingerprint"):
        verdict.flags.append("no fingerprint: the encoder does not say what its outputs depend on")
    verdict.prints = copies.prints(verdict.scored)
    _compare(verdict, others)
    return verdict


@dataclass(frozen=True)
class Checked:
    """One task: what was computed of it (None where there is a fault), what is wrong, and what should be known."""

    scored: Scored | None
    faults: list[Fault]
    notes: list[str]


def check_task(known: Known, claim: Result, file: PredictionFile) -> Checked:
    """One task against its sheet: the first fault of its header, of each variant, and of its claimed numbers."""
    sheet = known.sheet
    wrong = _header_fault(known, claim, file)
    if wrong:
        return Checked(None, [_fault(sheet.task, wrong)], [])
    ranked: dict[str, list[Prediction]] = {}
    stated: dict[str, list[Prediction]] = {}
    faults = []
    for variant in known.variants:
        again = Again(known)
        rows = sorted(file.variants[variant], key=lambda row: row.query)
        wrong = _coverage(rows, sheet.answers) or next(filter(None, map(again.check, rows)), "")
        if wrong:
            faults.append(_fault(f"{sheet.task}, {variant}", wrong))
        ranked[variant], stated[variant] = again.ranked, again.stated
    if faults:
        return Checked(None, faults, [])
    ours = _numbers(known, ranked)
    follows = ours if stated == ranked else _numbers(known, stated)
    says, computed = _comparable(claim, replace(claim, **vars(follows)))
    wrong = difference(says, computed)
    if wrong:
        return Checked(None, [_fault(f"{sheet.task}, result.json", wrong)], [])
    units = METRICS[sheet.metric].units([row for row in ranked["model"] if row.targets])
    scored = Scored(
        sheet,
        ranked,
        ours,
        tuple(unit.key for unit in units),
        tuple(unit.cluster for unit in units),
        tuple(unit.value for unit in units),
    )
    return Checked(scored, [], _lowered(sheet.task, ours, follows))


def _header_fault(known: Known, claim: Result, file: PredictionFile) -> str:
    sheet = known.sheet
    ours = {"task": sheet.task, "version": str(sheet.version), "data_hash": sheet.data_hash}
    claimed = {"name": claim.name, "version": claim.version, "data_hash": claim.data_hash, "metric": claim.metric}
    wanted = {"name": sheet.task, "version": sheet.version, "data_hash": sheet.data_hash, "metric": sheet.metric}
    lacking = [variant for variant in known.variants if not file.variants.get(variant)]
    return (
        difference(claimed, wanted, "result.json")
        or difference({key: file.header.get(key) for key in ours}, ours, "the header of the predictions")
        or (f"there are no predictions of variant {lacking[0]}, which a run of this task has" if lacking else "")
    )


def _coverage(rows: Sequence[Prediction], answers: Mapping[str, Answer]) -> str:
    """The first query that is asked twice, is not of the task, or is left out."""
    counts = Counter(row.query for row in rows)
    for query, times in counts.items():
        if query not in answers:
            return f"query {query!r} is not of this task"
        if times > 1:
            return f"query {query!r} is answered {times} times"
    missing = [query for query in answers if query not in counts]
    return f"query {missing[0]!r} is not answered, nor are {len(missing) - 1} others" if missing else ""


def _numbers(known: Known, variants: Mapping[str, Sequence[Prediction]]) -> Numbers:
    return numbers(known.sheet.metric, {**known.baselines, **variants}, known.sheet.task, known.sheet.also)


_FOLLOW = tuple(Numbers.__annotations__)


def _comparable(*results: Result) -> list[dict[str, Any]]:
    """What follows from predictions, of the claim and of ours, without what a bundle leaves open: the random control,
    and the control with swapped pictures, which a bundle does not hold.
    """
    found = [{name: result_to_json(result)[name] for name in _FOLLOW} for result in results]
    swapped = any("swapped_image" in each["audit"].get("unimodal", {}) for each in found)
    for each in found:
        each["controls"].pop("random", None)
        if swapped:
            each["audit"] = {
                part: {name: value for name, value in table.items() if name != "swapped_image"}
                for part in ("blind", "unimodal", "intervals")
                if isinstance(table := each["audit"].get(part), dict)
            }
    return found


def _lowered(task: str, ours: Numbers, stated: Numbers) -> list[str]:
    """Where answers beyond a cut list cost something, or rounded decision values moved it."""
    return [
        f"{task}: {name} is {row['value']:.4f} here and {stated.metrics[name]['value']:.4f} in the run, "
        "which knew more than the candidates and scores that it lists"
        for name, row in ours.metrics.items()
        if abs(row["value"] - stated.metrics[name]["value"]) > 1e-9
    ]


class Oddities:
    """What is possible, and a reader should know of: collapse, ties, scores that are no cosines."""

    def __init__(self) -> None:
        self.tasks = self.asked = self.tied = 0
        self.collapsed: list[str] = []
        self.beyond: dict[str, float] = {}

    def look(self, scored: Scored, probe: bool) -> None:
        lists = [[value for _, value in row.top] for row in scored.variants["model"] if len(row.top) > 1]
        self.tasks += 1
        self.asked += len(lists)
        self.tied += sum(values[0] - values[1] <= TIE for values in lists)
        if lists and all(max(values) - min(values) <= TIE for values in lists):
            self.collapsed.append(scored.sheet.task)
        largest = max((abs(value) for values in lists for value in values), default=0.0)
        if not probe and largest > 1 + COSINE:
            self.beyond[scored.sheet.task] = largest

    def flags(self) -> list[str]:
        found = []
        if self.collapsed:
            found.append(
                f"collapse: all scores are tied on {len(self.collapsed)} of {self.tasks} tasks{_some(self.collapsed)}"
            )
        if self.asked and self.tied / self.asked >= TIES:
            found.append(f"ties: {self.tied} of {self.asked} questions have a tie in the first place")
        if self.beyond:
            most = max(self.beyond.values())
            found.append(f"scores: no cosines, up to {most:.4g}, on {len(self.beyond)} tasks{_some(list(self.beyond))}")
        return found


def _compare(verdict: Verdict, others: Iterable[copies.Other]) -> None:
    for other in others:
        found = copies.compare(verdict.prints, other.prints)
        told = f"{other.id}: its rankings on all {found.tasks} tasks that both have are the same"
        if found.identical and other.own:
            verdict.notes.append(f"submitted before as {told}")
        elif found.identical:
            mend = "submit an encoder of your own; its owner may submit the same again"
            verdict.faults.append(Fault("predictions", f"a copy of {told}", mend))
        elif found.near and not other.own:
            shares = f"{100 * found.first:.1f}% equal first places, rank correlation {found.order:.3f}"
            verdict.flags.append(f"near copy of {other.id}: {shares}")


def _fault(where: str, what: str) -> Fault:
    return Fault(shown(where), shown(what), _AGAIN)


def shown(text: str) -> str:
    """Of a stranger's text: what can be printed, and not too much of it."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text[: LONGEST + 1])
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}..."


def _some(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
