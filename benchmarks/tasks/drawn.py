"""What the tasks on drawn scenes share: held-out scenes, made but not drawn, and small makers of rows and queries."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, islice
from typing import TypeVar

from benchmarks.types import Candidate, Query, TaskContext, TaskData, TaskSpec
from datagen.scenes.draws import Draws
from datagen.scenes.spec import picture
from datagen.scenes.types import Scene
from datagen.sources.scenes import Scenes
from fuselip.core.seeds import derive
from fuselip.core.types import ImageRef, Input, Scalar

T = TypeVar("T")

SIZE = 256
"""Pixels a side: the smallest thing is 43 pixels wide."""

BASES = 150
"""Most tasks ask about these first scenes, so that an encoder sees each of them once for all of the tasks."""

SOURCE = "drawn scenes of the held-out test split (datagen.scenes); nothing is downloaded"


def row(
    name: str,
    loader: str,
    description: str,
    modalities: str,
    also: tuple[str, ...] = ("mrr", "strict@1"),
    **more: object,
) -> TaskSpec:
    """A row of a task on scenes; `more` are further fields of TaskSpec."""
    return TaskSpec(
        name=f"scenes/{name}",
        version=1,
        loader=f"benchmarks.tasks.{loader}",
        description=description,
        modalities=modalities,
        source=SOURCE,
        licence="as fuselip",
        also=also,
        **{"citation": "ours", **more},  # type: ignore[arg-type]
    )


@lru_cache(maxsize=1 << 14)
def scene(seed: int, index: int) -> Scene:
    """Held-out scene number `index`; never one that training on the train split shows."""
    return Scenes("test", seed=seed).scene(index)


def scenes(seed: int, number: int | None = None) -> Iterator[tuple[str, Scene]]:
    """(key, scene), the first `number` of them, or without end."""
    found = ((f"scene-{index:04d}", scene(seed, index)) for index in count())
    return islice(found, number)


def image(of: Scene) -> ImageRef:
    return picture(of, SIZE)


def draws(*parts: str | int) -> Draws:
    """Draws of their own for these parts: no task's draws depend on another's."""
    return Draws(derive("benchmark scenes", *parts))


def texts(words: Iterable[str]) -> dict[str, Candidate]:
    """Candidates that are texts, each its own key."""
    return {word: Candidate(word, (Input(word),)) for word in words}


def query(
    key: str,
    of: Input,
    answer: str,
    pool: Sequence[str] | None,
    cluster: str,
    group: str = "",
    tags: Mapping[str, Scalar] | None = None,
) -> Query:
    """A query with one answer among the candidates `pool` (None: all)."""
    return Query(key, of, {answer: 1.0}, None if pool is None else tuple(pool), frozenset(), group, cluster, tags or {})


def balanced(items: Iterable[T], kind: Callable[[T], Hashable], kinds: Sequence[Hashable], each: int) -> list[T]:
    """The first `each` items of every kind, in the order of `items`, which may be endless."""
    left = dict.fromkeys(kinds, each)
    found: list[T] = []
    for item in items:
        if left.get(kind(item), 0):
            left[kind(item)] -= 1
            found.append(item)
            if not any(left.values()):
                break
    return found


def task(queries: Iterable[Query], candidates: Mapping[str, Candidate], context: TaskContext, *notes: str) -> TaskData:
    """The task, of the first `context.limit` scenes that have a question, with the candidates these queries rank."""
    queries = list(queries)
    clusters = set(list(dict.fromkeys(each.cluster for each in queries))[: context.limit])
    queries = [each for each in queries if each.cluster in clusters]
    if all(each.candidates is not None for each in queries):
        used = {key for each in queries for key in each.candidates or ()}
        candidates = {key: candidate for key, candidate in candidates.items() if key in used}
    return TaskData(tuple(queries), candidates, notes=notes)
