"""Families: the tasks of a suite under the headings that a reader looks for, and where each task belongs."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "transforms": ("Transformed pictures", ("tgit/*", "tgit-*/*")),
    "questions": ("Questions about a picture", ("scenes/vqa-*",)),
    "compositional": (
        "Captions that differ in one thing",
        ("scenes/negatives-*", "scenes/winoground", "scenes/paraphrase-*", "sugarcrepe*/*", "aro/*", "winoground"),
    ),
    "captions": ("Captions and pictures", ("scenes/captions-*", "coco/*", "flickr30k/*")),
    "classes": ("Classes", ("scenes/zero-shot-*", "digits/*", "*/zero-shot", "*/linear-probe")),
    "crops": ("Crops and places", ("scenes/crop", "scenes/position", "vg/crop", "oi/*")),
    "edits": ("Edited pictures", ("scenes/edit-*", "cirr/*", "circo/*", "fashioniq/*", "genecis/*")),
    "mmeb": ("MMEB", ("mmeb/*", "mmeb-paper/*")),
}
"""{name: (title, patterns)} in the order of the board; a task belongs to the first that matches."""


def family(task: str) -> str:
    """The family of a task by its name; what no pattern knows makes one of its own by the part before the slash."""
    known = (name for name, (_, patterns) in FAMILIES.items() if any(fnmatchcase(task, each) for each in patterns))
    return next(known, task.partition("/")[0])


def title(name: str) -> str:
    return FAMILIES[name][0] if name in FAMILIES else name


def grouped(tasks: Sequence[str]) -> dict[str, list[str]]:
    """{family: its tasks}, in the order of the table and then of the tasks."""
    found: dict[str, list[str]] = {}
    for task in tasks:
        found.setdefault(family(task), []).append(task)
    return {name: found.pop(name) for name in FAMILIES if name in found} | found
