"""Ranking again: one variant's predictions from its listed scores and our answers, or the first thing that differs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import score
from benchmarks.predictions import inconsistency
from benchmarks.rescore import first_difference
from benchmarks.score import TIE
from benchmarks.types import Prediction, Query, TargetRank
from fuselip.core.types import Input
from leaderboard.answers import Known
from leaderboard.types import Answer

LISTED = 100
"""Candidates that a run lists of a pool; of a larger one the best hundred."""

_ANY = Input("a question")


class Again:
    """Ranks the rows of one variant again.

    `ranked` follows from the listed scores alone. `stated` has our questions with the ranks that the file gives, where
    the scores leave room for them (answers beyond a cut list, decision values that were rounded): the claimed numbers
    follow from these. Elsewhere the two are the same, or `check` says what differs.
    """

    def __init__(self, known: Known) -> None:
        self.known = known
        self.ranked: list[Prediction] = []
        self.stated: list[Prediction] = []
        self._pool: score.Pool | None = None  # the last: most tasks have one for all questions, some one for each

    def check(self, row: Prediction) -> str:
        """What is wrong with the row, "" where nothing is."""
        answer = self.known.sheet.answers[row.query]
        wrong = _question_fault(row, answer) or _list_fault(row, answer)
        if wrong:
            return f"query {row.query!r}: {wrong}"
        found = self._rank(row, answer)
        wrong = "" if self.known.probe else _order_fault(row, found)
        exact = not found.truncated and not self.known.probe
        wrong = wrong or (_rank_fault(row, found) if exact else inconsistency(row))
        if wrong:
            return f"query {row.query!r}: {wrong}"
        self.ranked.append(found)
        stated = (replace(target, gain=answer.gains[target.key]) for target in row.targets)
        self.stated.append(replace(found, targets=tuple(stated)))
        return ""

    def _rank(self, row: Prediction, answer: Answer) -> Prediction:
        pool = self._pool
        if pool is None or pool.contents is not answer.pool:
            pool = self._pool = _pool(answer.pool)
        scores = np.full(len(answer.pool), -np.inf)
        scores[[pool.bundle_of[key] for key, _ in row.top]] = [value for _, value in row.top]
        relevance = dict.fromkeys(answer.gains, 1.0)
        query = Query(answer.query, _ANY, relevance, group=answer.group, cluster=answer.cluster, tags=answer.tags)
        found = score.predict(query, pool, scores, top=len(row.top))
        targets = tuple(replace(target, gain=answer.gains[target.key]) for target in found.targets)
        return replace(found, targets=beyond(found, targets) if found.truncated else targets)


def _pool(names: tuple[str, ...]) -> score.Pool:
    return score.Pool(names, tuple((name,) for name in names), {name: place for place, name in enumerate(names)})


def difference(says: Any, ours: Any, where: str = "") -> str:
    """`first_difference` of what a stranger says, whose numbers may be larger than any float."""
    try:
        return first_difference(says, ours, where)
    except OverflowError:
        return f"{where or 'a number'}: beyond all range"


def _question_fault(row: Prediction, answer: Answer) -> str:
    """What the file says of the question, against what we know of it."""
    ours = {"pool": len(answer.pool), "cluster": answer.cluster, "group": answer.group, "tags": dict(answer.tags)}
    says = {"pool": row.pool, "cluster": row.cluster, "group": row.group, "tags": dict(row.tags)}
    gains = {target.key: target.gain for target in row.targets}
    twice = "an answer is listed twice" if len(gains) < len(row.targets) else ""
    return difference(says, ours) or twice or difference(gains, dict(answer.gains), "answers")


def _list_fault(row: Prediction, answer: Answer) -> str:
    listed = [key for key, _ in row.top]
    wanted = min(LISTED, len(answer.pool))
    if len(listed) != wanted:
        return f"lists {len(listed)} candidates of a pool of {len(answer.pool)}, where a run lists {wanted}"
    if row.truncated != (wanted < len(answer.pool)):
        return f"truncated: says {row.truncated}, computed {not row.truncated}"
    twice = next((key for key, times in Counter(listed).items() if times > 1), None)
    if twice is not None:
        return f"lists candidate {twice!r} twice"
    strange = set(listed).difference(answer.pool)
    if strange:
        return f"candidate {min(strange)!r} is not in its pool"
    unusable = next((key for key, value in row.top if not math.isfinite(value)), None)
    return "" if unusable is None else f"the score of candidate {unusable!r} is not finite"


def _order_fault(row: Prediction, found: Prediction) -> str:
    for place, ((says, _), (ours, _)) in enumerate(zip(row.top, found.top, strict=True)):
        if says != ours:
            return f"lists {says!r} in place {place + 1}, where its scores put {ours!r}"
    return ""


def _rank_fault(row: Prediction, found: Prediction) -> str:
    for says, ours in zip(row.targets, found.targets, strict=True):
        if (says.key, says.above, says.tied) != (ours.key, ours.above, ours.tied):
            return f"says of its answers {_standing(says)}, its scores {_standing(ours)}"
    return ""


def _standing(target: TargetRank) -> str:
    return f"that {target.key!r} has {target.above} above and {target.tied} tied"


def beyond(found: Prediction, targets: Sequence[TargetRank]) -> tuple[TargetRank, ...]:
    """The answers of a cut list: what it cannot show counts against the encoder.

    An answer that is not listed counts as last. A tie that reaches the end of the list may go on, and is taken to hold
    all that is left; a list that is one tie throughout says nothing, and the whole pool is one tie.
    """
    scores = dict(found.top)
    lowest, highest = min(scores.values()), max(scores.values())
    if highest - lowest <= TIE:
        return tuple(replace(target, above=0, tied=found.pool - 1) for target in targets)
    listed = [target for target in targets if target.key in scores]
    last = len(targets) - len(listed)
    best = {target.above: scores[target.key] for target in reversed(listed)}  # each tie group is drawn around its best
    edge = lowest + 2 * TIE
    open_ended = [target.above for target in listed if best[target.above] <= edge]
    if open_ended and sum(value <= edge for value in scores.values()) > 1:
        first = min(open_ended)
        tied = found.pool - 1 - first - last
        listed = [t if t.above < first else replace(t, above=first, tied=tied) for t in listed]
    outside = (target for target in targets if target.key not in scores)
    return (*listed, *(replace(target, above=found.pool - last, tied=last - 1) for target in outside))
