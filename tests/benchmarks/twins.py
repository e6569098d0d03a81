"""The embedded tasks, loaded once for all tests, and short ways to their parts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from benchmarks.tasks import TASKS, load_task, select
from benchmarks.types import Query, TaskContext, TaskData
from datagen.scenes.types import Scene
from fuselip.core.types import ImageRef, Input
from tests.datagen.test_scenes import spec_of

CORE = [spec.name for spec, _ in select(["core"])]
MADE = [name for name in CORE if not name.startswith("tgit")]
VQA = [name for name in MADE if "/vqa-" in name]
NEGATIVES = [name for name in MADE if "/negatives-" in name]
CHOICES = [*VQA, *NEGATIVES]


@cache
def data(name: str, seed: int = 0) -> TaskData:
    return load_task(TASKS[name], TaskContext("photos:quick", seed=seed))


def picture(of: Input) -> ImageRef:
    assert of.image is not None
    return of.image


def scene_of(query: Query) -> Scene:
    return spec_of(picture(query.input))


def target(query: Query) -> str:
    [key] = query.relevance
    return key


def texts(of: TaskData, query: Query) -> list[str]:
    return [candidate.inputs[0].text for candidate in of.pool(query)]


def every_input(names: Iterable[str]) -> list[Input]:
    found: list[Input] = []
    for of in map(data, names):
        found += [query.input for query in of.queries] + [item for item, _ in of.training]
        found += [item for candidate in of.candidates.values() for item in candidate.inputs]
    return found
