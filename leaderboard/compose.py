"""Composing the board from what the leaderboard computed of each submission: scores, averages, ranks and flags."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks import stats
from benchmarks import tasks as registry
from benchmarks.report import clean
from benchmarks.types import TaskSpec
from fuselip.core.errors import UserError
from fuselip.core.provenance import provenance
from leaderboard import board, columns, families, rank
from leaderboard.entries import Entry, Reported, Told, Units

BYTES = 4
"""Of one number of an embedding: float32."""

DIGITS = 12
"""Decimals of averages: beyond, the order in which a machine adds shows."""

PAIR_DIGITS = 6
"""Decimals of a pair's differences and margins; the p values have as many significant digits."""


def compose(
    entries: Sequence[Entry],
    units: Mapping[str, Units],
    reported: Reported | None = None,
    *,
    suite: str = "core",
    tasks: Sequence[TaskSpec] | None = None,
    made: Mapping[str, Any] | None = None,
) -> board.Board:
    """The board of `suite`; the order of `entries` makes no difference.

    `units` by task name; tasks outside the suite are shown and not averaged. `tasks` replaces the suite's own list.
    `made` replaces the provenance; `reported` rows come last, as they are. Raises UserError where two entries share
    an id, or an entry's units do not fit.
    """
    entries = sorted(entries, key=lambda entry: entry.id)
    _check(entries, units)
    specs = {spec.name: spec for spec in tasks or [spec for spec, _ in registry.select([suite])]}
    current = {
        entry.id: {told.task: told for told in entry.scores if _is_current(told, entry.id, units.get(told.task))}
        for entry in entries
    }
    names = [*specs, *sorted({task for told in current.values() for task in told} - specs.keys())]
    grouped = families.grouped(names)
    names = [task for held in grouped.values() for task in held]
    known = {task: [(entry, found) for entry in entries if (found := current[entry.id].get(task))] for task in names}
    averager = _Averager(units, {task: told[0][1].numbers["chance"] for task, told in known.items() if told})
    counted = [task for task in names if task in specs]
    ranked = [entry.id for entry in entries if counted and all(task in current[entry.id] for task in counted)]
    averages, pairs, ranks, clusters = averager.ranked(ranked, counted)
    by_family = _by_family(averager, entries, grouped, current)
    partial = _partial(averager, entries, counted, current, set(ranked))
    rows = [
        _row(
            entry,
            current[entry.id],
            counted,
            averages.get(entry.id),
            partial.get(entry.id),
            ranks.get(entry.id),
            by_family[entry.id],
        )
        for entry in entries
    ]
    rows.sort(key=_place)
    return board.Board(
        made=dict(provenance() if made is None else made),
        suite=suite,
        method=board.METHOD,
        clusters=clusters,
        few=0 < clusters < stats.FEW,
        families=[
            *(board.Family(name, families.title(name), held) for name, held in grouped.items()),
            *([reported.family] if reported else []),
        ],
        tasks=[
            *(columns.column(task, specs.get(task), known[task], units.get(task)) for task in names),
            *(reported.tasks if reported else []),
        ],
        rows=[*rows, *(reported.rows if reported else [])],
        pairs=pairs,
    )


def _check(entries: Sequence[Entry], units: Mapping[str, Units]) -> None:
    ids = {entry.id for entry in entries}
    if len(ids) < len(entries):
        raise UserError("two entries of the board share an id; every submission has its own")
    for task, held in units.items():
        for id_, values in held.values.items():
            if values.shape != (len(held.clusters),) or not np.isfinite(values).all():
                raise UserError(
                    f"{task}: entry {id_} has {values.size} values of {len(held.clusters)} units, or some that are no "
                    "numbers; its scores are damaged: verify it again"
                )


def _is_current(told: Told, id_: str, held: Units | None) -> bool:
    return held is not None and (told.version, told.data_hash) == (held.version, held.data_hash) and id_ in held.values


@dataclass(frozen=True)
class _Averager:
    """Averages with intervals over any tasks, of any entries that have them all."""

    units: Mapping[str, Units]
    chance: Mapping[str, float]

    def standing(self, ids: Sequence[str], tasks: Sequence[str]) -> rank.Standing:
        return rank.standing(
            [
                rank.TaskUnits(
                    task,
                    self.chance[task],
                    self.units[task].clusters,
                    np.stack([self.units[task].values[id_] for id_ in ids]),
                )
                for task in tasks
            ]
        )

    def averages(self, ids: Sequence[str], tasks: Sequence[str]) -> dict[str, board.Interval]:
        return self._told(ids, self.standing(ids, tasks)) if ids else {}

    @staticmethod
    def _told(ids: Sequence[str], found: rank.Standing) -> dict[str, board.Interval]:
        rows = np.round(np.stack([found.means, *rank.intervals(found)], axis=1), DIGITS).tolist()
        return {id_: board.Interval(*row) for id_, row in zip(ids, rows, strict=True)}

    def ranked(
        self, ids: Sequence[str], tasks: Sequence[str]
    ) -> tuple[dict[str, board.Interval], board.Pairs, dict[str, board.Rank], int]:
        if not ids:
            return {}, board.Pairs(), {}, 0
        found = self.standing(ids, tasks)
        # Best first, as the rows stand: the upper triangle of pairs is then mostly of positive differences.
        means = np.round(found.means, DIGITS).tolist()
        order = sorted(range(len(ids)), key=lambda at: (-means[at], ids[at]))
        ids = [ids[at] for at in order]
        found = replace(found, means=found.means[order], residuals=found.residuals[order])
        tests = rank.pairs(found)
        best, worst = rank.bands(tests)
        upper = np.triu_indices(len(ids), 1)
        pairs = board.Pairs(
            ids,
            (np.round(tests.difference[upper], PAIR_DIGITS) + 0.0).tolist(),
            np.round(tests.margin[upper], PAIR_DIGITS).tolist(),
            [float(f"{p:.{PAIR_DIGITS}g}") for p in tests.p[upper].tolist()],
        )
        ranks = {id_: board.Rank(*band) for id_, *band in zip(ids, best.tolist(), worst.tolist(), strict=True)}
        return self._told(ids, found), pairs, ranks, found.clusters


def _by_family(
    averager: _Averager,
    entries: Sequence[Entry],
    grouped: Mapping[str, Sequence[str]],
    current: Mapping[str, Mapping[str, Told]],
) -> dict[str, dict[str, board.Interval]]:
    """{entry: {family: average}}, of the families whose tasks an entry has all."""
    found: dict[str, dict[str, board.Interval]] = {entry.id: {} for entry in entries}
    for name, held in grouped.items():
        whole = [entry.id for entry in entries if all(task in current[entry.id] for task in held)]
        for id_, average in averager.averages(whole, held).items():
            found[id_][name] = average
    return found


def _partial(
    averager: _Averager,
    entries: Sequence[Entry],
    counted: Sequence[str],
    current: Mapping[str, Mapping[str, Told]],
    ranked: set[str],
) -> dict[str, board.Interval]:
    """Averages over what rows have that lack some of the suite; rows that have the same tasks in one go."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        held = tuple(task for task in counted if task in current[entry.id])
        if held and entry.id not in ranked:
            alike.setdefault(held, []).append(entry.id)
    return {id_: found for held, ids in alike.items() for id_, found in averager.averages(ids, held).items()}


def _row(
    entry: Entry,
    told: Mapping[str, Told],
    counted: Sequence[str],
    average: board.Interval | None,
    partial: board.Interval | None,
    band: board.Rank | None,
    by_family: dict[str, board.Interval],
) -> board.Row:
    about, dimension = entry.metadata, entry.metadata.get("dimension")
    old = sorted({score.task for score in entry.scores} - told.keys())
    flags = [*entry.flags, *([f"answered other questions than today's: {', '.join(old)}"] if old else [])]
    return board.Row(
        id=entry.id,
        name=_text(about.get("name")),
        organisation=_text(about.get("organisation")),
        link=_text(about.get("link")),
        revision=_text(about.get("revision")),
        licence=_text(about.get("licence")),
        fusion_policy=_text(about.get("fusion_policy")),
        training_data=_text(about.get("training_data")),
        parameters=about.get("parameters"),
        dimension=dimension,
        badge=entry.badge,
        created=entry.created,
        flags=flags,
        coverage=board.Coverage(sum(task in told for task in counted), len(counted)),
        average=average,
        partial=partial,
        rank=band,
        embedding_bytes=dimension * BYTES if dimension else None,
        throughput=dict(entry.throughput),
        families=by_family,
        scores={task: _score(score.numbers) for task, score in sorted(told.items())},
        skills={task: skills for task, score in sorted(told.items()) if (skills := score.numbers.get("skills"))},
        provenance=dict(entry.provenance),
        reproduce=entry.reproduce or _reproduce(entry.provenance),
        challenge=_challenge(entry.challenge),
    )


def _challenge(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The newest challenge in numbers; task by task it is told in the log of challenges, once."""
    return None if told is None else {name: told[name] for name in board.CHALLENGE if name in told}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _score(numbers: Mapping[str, Any]) -> board.Score:
    value, low, high, chance = (float(numbers[part]) for part in ("value", "low", "high", "chance"))
    return board.Score(value, low, high, chance, (value - chance) / (1 - chance) if chance < 1 else 0.0)


def _reproduce(made: Mapping[str, Any]) -> str:
    """The submitter's own command: what followed the program's path, which is of their machine."""
    command = made.get("command")
    if not isinstance(command, list) or len(command) < 2 or not all(isinstance(part, str) for part in command):
        return ""
    return shlex.join(["fuselip-bench", *map(clean, command[1:])])


def _place(row: board.Row) -> tuple[Any, ...]:
    """Ranked rows by average; then those that lack tasks, the most complete first, without an order of merit."""
    if row.average is not None:
        return 0, -row.average.value, row.id
    return 1, -row.coverage.tasks, row.name, row.id
