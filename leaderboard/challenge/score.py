"""Scoring a response: is it ours, whole, in time and new; and does the public score agree with what it shows?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import numpy as np

from benchmarks import paired
from benchmarks.challenge_file import Response, Vectors, products, read_response
from benchmarks.metrics import METRICS, Unit
from benchmarks.score import Pool, predict, shared_pools
from benchmarks.types import Prediction
from fuselip.core.errors import UserError
from leaderboard.challenge import Challenges, Record, sign
from leaderboard.challenge.compare import Gap, PublicTask, Side, gap_of, mean_of, p_value, side_of
from leaderboard.challenge.make import Built, build, seed_of

ALPHA = 0.05
_LONGEST = 120


@dataclass(frozen=True)
class Opened:
    """A response that belongs to an open challenge. Its scores are looked at later, against the questions."""

    response: Response
    vectors: Vectors | None


@dataclass(frozen=True)
class Public:
    """What the leaderboard computed of the submission that a response says it belongs to."""

    submission: str
    fingerprint: str | None
    tasks: Mapping[str, PublicTask] = field(default_factory=dict)


class TaskOutcome(msgspec.Struct, frozen=True):
    """One task: `raw` and `chance` are the challenge's by the task's own metric; `p` is Holm's, over all tasks."""

    task: str
    metric: str
    raw: float
    chance: float
    challenge: Side
    public: Side | None = None
    gap: Gap | None = None
    p: float | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What a response showed. `public`, `gap` and `credible` are None where no submission with these tasks was named.

    `public` and `compared` are means over the tasks that both sides have; `challenge` is over all that were asked.
    `same_encoder` is None where neither side declares a fingerprint: nobody can tell.
    """

    challenge_id: str
    submission: str
    encoder: str
    fingerprint: str | None
    tasks: list[TaskOutcome]
    challenge: Side
    compared: Side | None
    public: Side | None
    gap: Gap | None
    credible: bool | None
    sentence: str
    same_encoder: bool | None = None

    def row(self) -> dict[str, float] | None:
        """As a row of the board tells it."""
        if self.public is None or self.compared is None or self.gap is None:
            return None
        return {
            "public": self.public.value,
            "challenge": self.compared.value,
            "gap": self.gap.value,
            "low": self.gap.low,
            "high": self.gap.high,
        }


def settle(store: Challenges, data: bytes, public: Callable[[str], Public], *, now: datetime) -> Outcome:
    """Open, score and keep: the whole way of a response. `public` looks a submission up by its id.

    A response that is refused uses nothing up; of two at a time one is kept. Raises UserError.
    """
    response, _ = read_response(data)
    record = store.challenge(response.challenge)
    if record is None:
        raise UserError(f"challenge {response.challenge} is not one of this server's; answer one that it gave out")
    opened = open_response(data, record, store.challenge_key(), now)
    if not response.submission:
        raise UserError("the response names no submission that it is to support; answer with --submission ID")
    outcome = score(opened, record, public(response.submission))
    if outcome.gap is None:
        raise UserError(
            f"submission {response.submission} has no public score of these tasks; there is nothing to compare"
        )
    if not store.challenge_use(record.id, response.submission, msgspec.to_builtins(outcome), now):
        raise _used(record)
    return outcome


def open_response(data: bytes, record: Record, key: bytes, now: datetime) -> Opened:
    """Raises UserError for a response to another challenge, a forged one, and one that comes again or too late."""
    response, vectors = read_response(data)
    if response.challenge != record.id:
        raise UserError(f"the response answers challenge {response.challenge}, not {record.id}")
    if not sign.is_signature(response.signature, key, record.id, record.expires, record.content):
        raise UserError(
            f"the response's signature is not this server's for challenge {record.id}: it is forged, or belongs to "
            "another file; run the challenge as it was downloaded"
        )
    if record.used_by is not None:
        raise _used(record)
    if record.expired(now):
        raise UserError(f"challenge {record.id} expired at {record.expires}; ask for a new one")
    return Opened(response, vectors)


def _used(record: Record) -> UserError:
    return UserError(f"challenge {record.id} was answered before, and counts once; ask for a new one")


def score(opened: Opened, record: Record, public: Public | None = None) -> Outcome:
    """The questions are derived again from the seed, and ranked by the scores that came.

    Per task: difference of two independent samples, its interval from those of both sides (Newcombe's hybrid method).
    Over tasks: the same of the means, with the wider of the interval that treats tasks as independent and the one that
    draws source images over all tasks. Credible: 0 lies in the interval of the whole, and no task differs by Holm.
    Raises UserError for scores that are not of these questions, and for another encoder than the submission's.
    """
    response = opened.response
    mine, theirs = response.encoder.fingerprint, public.fingerprint if public else None
    if public and mine != theirs:
        raise UserError(
            f"the response is of an encoder with fingerprint {_short(mine)}, submission {public.submission} "
            f"of one with {_short(theirs)}; answer with the encoder that was submitted"
        )
    built = build(seed_of(record.seed), record.tasks, record.questions, record.created, record.expires)
    scores = _scores(opened, built)
    sides = {name: _units(built, name, scores) for name in built.tasks}
    ours = {name: _as_public(units) for name, units in sides.items()}
    shared = {name: public.tasks[name] for name in ours if name in public.tasks} if public else {}
    outcomes = _tasks(built, sides, ours, shared)
    whole = mean_of(ours)
    compared = mean_of({name: ours[name] for name in shared}) if shared else None
    other = mean_of(shared) if shared else None
    gap = gap_of(other, compared) if other and compared else None
    credible = None if gap is None else gap.low <= 0 <= gap.high and all((t.p or 1) >= ALPHA for t in outcomes if t.gap)
    return Outcome(
        challenge_id=record.id,
        submission=public.submission if public else response.submission,
        encoder=response.encoder.name,
        fingerprint=mine,
        tasks=outcomes,
        challenge=whole,
        compared=compared,
        public=other,
        gap=gap,
        credible=credible,
        sentence=_sentence(whole, compared, other, gap, credible, outcomes, known=mine is not None),
        same_encoder=True if public and mine is not None else None,
    )


def _short(fingerprint: str | None) -> str:
    return fingerprint[:16] if fingerprint else "none"


Scores = Mapping[str, Mapping[str, float]]


def _scores(opened: Opened, built: Built) -> Scores:
    """{question: {candidate: score}}, checked to cover every question and each of its candidates, and nothing else."""
    pools = {each["id"]: each["candidates"] for each in built.document["questions"]}
    if opened.vectors is not None:
        return products(opened.vectors, pools, "the response")
    given = opened.response.scores
    if given.keys() != pools.keys():
        right = len(given.keys() & pools.keys())
        raise UserError(f"{right} of {len(pools)} questions are answered, and {len(given) - right} others; answer all")
    for number, pool in pools.items():
        if given[number].keys() != set(pool):
            raise UserError(f"question {number}: scores are wanted of its {len(pool)} candidates, and of no other")
        if not all(math.isfinite(value) for value in given[number].values()):
            raise UserError(f"question {number}: a score is not a finite number")
    return given


def _units(built: Built, name: str, scores: Scores) -> list[Unit]:
    spec, data = built.tasks[name]
    predictions: list[Prediction] = []
    for pool, indices in shared_pools(data.queries, data):
        shown = _opaque(built, name, pool)
        for query in (data.queries[index] for index in indices):
            row = scores[built.question_ids[name, query.key]]
            predictions.append(predict(query, pool, np.array([row[each] for each in shown]), top=len(shown)))
    return METRICS[spec.metric].units(predictions)


def _opaque(built: Built, name: str, pool: Pool) -> list[str]:
    """The candidate that each bundle was shown as; two that look the same were one, and so are tied."""
    return [built.candidate_ids[name, members[0]] for members in pool.members]


def _as_public(units: Sequence[Unit]) -> PublicTask:
    chance = float(np.mean([each.chance for each in units]))
    return PublicTask([each.value for each in units], [each.cluster for each in units], chance)


def _tasks(
    built: Built, sides: Mapping[str, Sequence[Unit]], ours: Mapping[str, PublicTask], shared: Mapping[str, PublicTask]
) -> list[TaskOutcome]:
    found: list[TaskOutcome] = []
    for name, units in sides.items():
        mine, theirs = side_of(ours[name], name), side_of(shared[name], name) if name in shared else None
        raw = float(np.mean([each.value for each in units]))
        gap = gap_of(theirs, mine) if theirs else None
        found.append(TaskOutcome(name, built.tasks[name][0].metric, raw, ours[name].chance, mine, theirs, gap))
    told = [each for each in found if each.gap]
    adjusted = iter(paired.holm([p_value(each.gap) for each in told if each.gap]))
    return [msgspec.structs.replace(each, p=next(adjusted)) if each.gap else each for each in found]


def _sentence(
    whole: Side,
    compared: Side | None,
    public: Side | None,
    gap: Gap | None,
    credible: bool | None,
    tasks: Sequence[TaskOutcome],
    *,
    known: bool,
) -> str:
    if gap is None or public is None or compared is None:
        return f"The challenge scores {_percent(whole.value)} of 100 above chance; no public score is compared with it."
    told = (
        "On a scale from 0 (chance) to 100 (perfect), "
        f"the public score is {_percent(public.value)}, that of fresh questions {_percent(compared.value)}: "
        f"a difference of {_percent(gap.value, '+')} [{_percent(gap.low, '+')}, {_percent(gap.high, '+')}], "
    )
    if credible and not known:
        return (
            told + "no more than chance explains. Fresh questions agree; the encoder declares no fingerprint, so that "
            "whether it is the one that was submitted is unknown."
        )
    if credible:
        return told + "no more than chance explains. The public score is credible."
    if gap.low > 0:
        return told + "more than chance explains. The public score is not credible."
    if gap.high < 0:
        return told + "more than chance explains. The fresh questions went better; it may not be the same encoder."
    odd = [each.task for each in tasks if each.p is not None and each.p < ALPHA]
    return told + f"within chance as a whole, but not in {', '.join(odd)[:_LONGEST]}. The public score is not credible."


def _percent(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.1f}"
