"""The table of tasks and of suites, by name. A task is a row in its family's file, or in an installed package's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module, metadata

from benchmarks.types import TaskContext, TaskData, TaskSpec
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean, load

GROUP = "fuselip.tasks"
"""Entry points of this group name a sequence of TaskSpec: tasks that an installed package adds."""

FAMILIES = (
    "tgit",
    "tgit_made",
    "scenes_questions",
    "scenes_negatives",
    "scenes_captions",
    "scenes_boxes",
    "scenes_edits",
    "digits",
    "mmeb",
    "zero_shot",
    "cifar",
    "captions",
    "clip_benchmark",
    "cirr",
    "circo",
    "fashioniq",
    "genecis",
    "openimages",
    "visual_genome",
    "cc3m",
    "sugarcrepe",
    "aro",
    "winoground",
)
"""Files of this package, in the order of the list. Each holds ROWS; `row_for(name)`, where names are open-ended."""

TASKS: dict[str, TaskSpec] = {}
BROKEN: dict[str, str] = {}
"""Installed packages whose tasks cannot be read, and why."""


def _collect() -> None:
    for family in FAMILIES:
        for spec in import_module(f"benchmarks.tasks.{family}").ROWS:
            assert spec.name not in TASKS, f"two rows are called {spec.name}"
            TASKS[spec.name] = spec
    for point in metadata.entry_points(group=GROUP):
        try:
            rows = tuple(point.load())
            wrong = next((row for row in rows if not isinstance(row, TaskSpec) or row.name in TASKS), None)
            if wrong is not None:
                raise TypeError(f"{getattr(wrong, 'name', wrong)!r} is no TaskSpec, or is a name in use")
            TASKS.update({row.name: row for row in rows})
        except Exception as error:  # a stranger's module can raise anything, and must not take our tasks with it
            BROKEN[point.value] = f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Suite:
    """A named selection of tasks; `source` is where the pictures of tasks on any pictures come from."""

    name: str
    description: str
    tasks: tuple[str, ...]
    source: str = "photos"


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("quick", "transformation retrieval on five bundled photos (the default)", ("tgit/*",), "photos:quick"),
        Suite(
            "photos", "all bundled photos, whole and in tiles; our pools and the paper's", ("tgit/*", "tgit-paper/*")
        ),
        Suite(
            "core",
            "every kind of task, all embedded: nothing to download",
            ("tgit/*", "tgit-scenes/*", "tgit-textures/*", "scenes/*", "digits/*"),
            "photos:quick",
        ),
        Suite(
            "paper",
            "what the FuseLIP paper measures, with its prompts and pools (public data)",
            ("mmeb-paper/*", "imagenet/zero-shot", "vg/crop", "oi/*", "tgit-cc3m/*", "sugarcrepe/*"),
        ),
        Suite("mmeb", "MMEB's image tasks with its leaderboard's prompts (public data)", ("mmeb/*",)),
        Suite(
            "unimodal",
            "zero-shot classes and caption retrieval (public data)",
            ("imagenet/zero-shot", "cifar10/zero-shot", "cifar100/zero-shot", "coco/*", "flickr30k/*"),
        ),
        Suite(
            "compositional",
            "captions that differ in one thing, or in the order of their words (public data)",
            ("sugarcrepe/*", "sugarcrepe-pp/*", "sugarcrepe-pp-tot/*", "aro/*", "winoground"),
        ),
        Suite(
            "cir",
            "composed image retrieval: a picture and what to change (public data)",
            ("cirr/*", "circo/*", "fashioniq/*", "genecis/*"),
        ),
    )
}
DEFAULT_SUITE = "quick"
DEFAULT_SOURCE = "photos"


def select(suites: Sequence[str], patterns: Sequence[str] = ()) -> list[tuple[TaskSpec, str]]:
    """(task, source of its pictures) for the suites (names or patterns), narrowed to task `patterns`.

    "custom" is every task there is.

    Raises UsageError for an unknown suite, or a pattern that matches no task of them.
    """
    sources: dict[str, str] = {}
    suites = suite_names(suites)
    for suite in suites:
        if suite != "custom" and suite not in SUITES:
            raise UsageError(f"there is no suite {suite!r}{did_you_mean(suite, SUITES)} (known: {', '.join(SUITES)})")
        chosen = SUITES.get(suite)
        named = match(chosen.tasks if chosen else patterns or ("*",))
        for name in named:
            sources.setdefault(name, chosen.source if chosen else DEFAULT_SOURCE)
    names = list(sources)
    for pattern in patterns:
        if not set(match([pattern])) & set(names):
            where = "suite" if len(suites) == 1 else "suites"
            raise UsageError(f"{where} {', '.join(suites)!r} has no task {pattern!r}; it has {_some(names)}")
    if patterns:
        wanted = set(match(patterns))
        names = [name for name in names if name in wanted]
    return [(task(name), sources[name]) for name in names]


def suite_names(patterns: Sequence[str]) -> list[str]:
    """The suites that names and patterns ("c*") stand for; what matches none stays as it is."""
    found = (([name for name in SUITES if fnmatchcase(name, pattern)] or [pattern]) for pattern in patterns)
    return list(dict.fromkeys(name for names in found for name in names))


def match(patterns: Sequence[str]) -> list[str]:
    """Names of the tasks that a pattern ("tgit/*") matches, in table order. UsageError for one that matches none."""
    found: dict[str, None] = {}
    for pattern in patterns:
        names = [name for name in TASKS if fnmatchcase(name, pattern)]
        if not names and _open_ended(pattern) is not None:
            names = [pattern]
        if not names:
            broken = "".join(f"; tasks of {point} cannot be read ({why})" for point, why in BROKEN.items())
            raise UsageError(
                f"there is no task {pattern!r}{did_you_mean(pattern, TASKS)} (see `fuselip-bench list tasks`){broken}"
            )
        found.update(dict.fromkeys(names))
    return [name for name in TASKS if name in found] + [name for name in found if name not in TASKS]


def task(name: str) -> TaskSpec:
    """The row of a task. Raises UsageError where there is none."""
    [found] = match([name]) if not set(name) & set("*?[") else [name]
    spec = TASKS.get(found) or _open_ended(found)
    if spec is None:
        raise UsageError(f"{name!r} is not the name of one task")
    return spec


def _open_ended(name: str) -> TaskSpec | None:
    for family in FAMILIES:
        row_for = getattr(import_module(f"benchmarks.tasks.{family}"), "row_for", None)
        spec: TaskSpec | None = row_for(name) if row_for else None
        if spec is not None:
            return spec
    return None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def load_task(spec: TaskSpec, context: TaskContext) -> TaskData:
    """The questions of a task. Raises UserError where its data cannot be read."""
    data = load(spec.loader)(spec, context)
    if not isinstance(data, TaskData):
        raise UserError(f"the loader {spec.loader} of {spec.name} returned a {type(data).__name__}, not TaskData")
    return data


_collect()
