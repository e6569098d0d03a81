"""The table of tasks and of suites, by name. Listing them imports no loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks.tasks import rows
from benchmarks.types import TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean, load

TASKS: dict[str, TaskSpec] = {spec.name: spec for spec in rows.TGIT}


@dataclass(frozen=True)
class Suite:
    """A named selection of tasks; `source` is where their pictures come from unless the user names another."""

    name: str
    description: str
    tasks: tuple[str, ...]
    source: str


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("quick", "transformation retrieval on five bundled photos (the default)", ("tgit/*",), "photos:quick"),
        Suite("photos", "all bundled photos, whole and in tiles; our pools and the paper's", ("tgit*/*",), "photos"),
    )
}
DEFAULT_SUITE = "quick"
DEFAULT_SOURCE = "photos"


def select(suite: str, patterns: Sequence[str] = ()) -> list[tuple[TaskSpec, str]]:
    """(task, its default source) for the suite, narrowed to `patterns` where given; "custom" is every task there is.

    Raises UsageError for an unknown suite, or a pattern that matches no task of it.
    """
    if suite != "custom" and suite not in SUITES:
        raise UsageError(f"there is no suite {suite!r}{did_you_mean(suite, SUITES)} (known: {', '.join(SUITES)})")
    chosen = SUITES.get(suite)
    names = match(chosen.tasks) if chosen else list(TASKS)
    for pattern in patterns:
        if not set(match([pattern])) & set(names):
            raise UsageError(f"suite {suite!r} has no task {pattern!r}; it has {', '.join(names)}")
    if patterns:
        wanted = match(patterns)
        names = [name for name in names if name in wanted]
    return [(TASKS[name], chosen.source if chosen else DEFAULT_SOURCE) for name in names]


def match(patterns: Sequence[str]) -> list[str]:
    """Names of the tasks that a pattern ("tgit/*") matches, in table order. UsageError for one that matches none."""
    found: set[str] = set()
    for pattern in patterns:
        names = {name for name in TASKS if fnmatchcase(name, pattern)}
        if not names:
            raise UsageError(
                f"there is no task {pattern!r}{did_you_mean(pattern, TASKS)} (see `fuselip-bench list tasks`)"
            )
        found |= names
    return [name for name in TASKS if name in found]


def load_task(spec: TaskSpec, context: TaskContext) -> TaskData:
    """The questions of a task. Raises UserError where its data cannot be read."""
    data: TaskData = load(spec.loader)(spec, context)
    return data
