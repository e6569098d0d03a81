"""Questions about scenes by kind, in groups whose answers are all different and are each other's pool.

A group is one question about several pictures with as many answers, or two opposite questions about one picture. Within
it every answer is right once: the question alone, the commonest and the shortest answer are all worth chance.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations

from benchmarks.tasks.drawn import BASES, draws, image, query, row, scene, scenes, task, texts
from benchmarks.types import TaskContext, TaskData, TaskSpec
from datagen.scenes.questions import questions
from fuselip.core.types import Input

QUERIES = 48
DRAWS = 10  # how often all kinds of questions are drawn of each scene
MORE, FEW_DRAWS = 250, 4  # scenes beyond the bases, and draws of them: arrows are rare

# kind: (answers of a group, what is asked). "pair" kinds are asked both ways about one picture.
KINDS = {
    "color": (2, "which color is the thing?"),
    "shape": (2, "which shape is the thing?"),
    "texture": (2, "is the thing plain, striped, dotted or checkered?"),
    "size": (2, "is the thing small, medium or large?"),
    "existence": (2, "is there such a thing?"),
    "count": (3, "how many such things are there?"),
    "position": (4, "in which of nine parts of the picture is the thing?"),
    "direction": (4, "which way does the arrow point?"),
    "relation": (2, "is one thing left or right of, above or below another? Asked both ways round"),
    "comparison": (2, "which is larger, which smaller; are there more of these or of those? Asked both ways round"),
}
PAIRS = ("relation", "comparison")
SHOWN = {"color": "colour", "shape": "shape", "texture": "texture", "size": "size"}
"""Kinds whose two pictures show both answers, on some thing: the picture alone does not tell either. And the fields."""

ROWS = tuple(
    row(
        f"vqa-{kind}",
        "scenes_questions:answers",
        f"{what} Answers of a pool: {size}; the question alone is worth chance",
        "image+text -> text",
        chance=1 / size,
        params={"kind": kind},
    )
    for kind, (size, what) in KINDS.items()
)

Asked = tuple[int, str, str]
"""(scene, question, answer)."""

_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above", "yes": "no", "no": "yes"}
_RELATION = re.compile(r"Is the (.+) (left or right of|above or below) the (.+)\?")
_LARGER = re.compile(r"Which is (larger|smaller), the (.+) or the (.+)\?")
_MORE = re.compile(r"Are there more (.+) than (.+)\?")


def answers(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/vqa-<kind>`: (picture + question) -> the answer, among the answers of its group."""
    kind = str(spec.params["kind"])
    size = KINDS[kind][0]
    asked = _asked(context.seed).get(kind, ())
    if kind in SHOWN:
        groups = _both_shown(asked, SHOWN[kind], context.seed)
    else:
        groups = _pairs(asked, context.seed) if kind in PAIRS else _groups(asked, size, context.seed)
    keys = [key for key, _ in scenes(context.seed, BASES + MORE)]
    queries, pools = [], set[str]()
    for number, group in zip(range(QUERIES // size), groups, strict=False):
        pool = tuple(sorted(answer for _, _, answer in group))
        pools |= set(pool)
        for place, (index, text, answer) in enumerate(group):
            of = Input(text, image(scene(context.seed, index)))
            key = f"{keys[index]}/vqa-{kind}/{number}/{place}"
            queries.append(query(key, of, answer, pool, keys[index], tags={"answer": answer}))
    note = f"groups of {size} questions whose {size} answers are their pool, each right once"
    return task(queries, texts(sorted(pools)), context, note)


@lru_cache(maxsize=4)
def _asked(seed: int) -> dict[str, tuple[Asked, ...]]:
    """All different questions by kind, of all scenes and all draws; of scenes beyond the bases only those on arrows."""
    found: dict[str, dict[Asked, None]] = defaultdict(dict)
    for index, (_, of) in enumerate(scenes(seed, BASES + MORE)):
        arrows = sum(thing.shape == "arrow" for thing in of.things)
        for place in range(DRAWS if index < BASES else FEW_DRAWS if arrows == 1 else 0):
            for each in questions(of, draws("questions", seed, index, place)):
                if index < BASES or each.kind == "direction":
                    found[each.kind][index, each.question, each.answer] = None
    return {kind: tuple(rows) for kind, rows in found.items()}


def _groups(asked: tuple[Asked, ...], size: int, seed: int) -> Iterator[list[Asked]]:
    """The same question of `size` pictures with as many answers: one group a question, then a second one, ...

    Pictures and answers that were taken less often go first.
    """
    by_text: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, text, answer in asked:
        by_text[text][answer].append(index)
    order = draws("question groups", seed)
    used, given = Counter[int](), Counter[str]()
    while able := sorted(text for text, by_answer in by_text.items() if len(by_answer) >= size):
        for text in order.shuffled(able):
            by_answer = by_text[text]
            group = []
            for answer in sorted(order.shuffled(sorted(by_answer)), key=lambda answer: given[answer])[:size]:
                index = min(order.shuffled(by_answer[answer]), key=lambda index: used[index])
                by_answer[answer].remove(index)
                if not by_answer[answer]:
                    del by_answer[answer]
                used[index] += 1
                given[answer] += 1
                group.append((index, text, answer))
            yield group


def _both_shown(asked: tuple[Asked, ...], field: str, seed: int) -> Iterator[list[Asked]]:
    """The same question of two pictures with two answers, each of which both pictures show; by turns as `_groups`."""
    by_text: dict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        by_text[each[1]].append(each)
    shown = {index: {getattr(thing, field) for thing in scene(seed, index).things} for index, _, _ in asked}
    order = draws("question twins", seed)
    used = Counter[int]()
    while by_text:
        for text in order.shuffled(sorted(by_text)):
            rows = sorted(order.shuffled(by_text[text]), key=lambda row: used[row[0]])
            found = (
                (a, b) for a, b in combinations(rows, 2) if a[2] != b[2] and {a[2], b[2]} <= shown[a[0]] & shown[b[0]]
            )
            pair = next(found, None)
            if pair is None:
                del by_text[text]
                continue
            by_text[text] = [row for row in by_text[text] if row not in pair]
            used.update(index for index, _, _ in pair)
            yield list(pair)


def _pairs(asked: tuple[Asked, ...], seed: int) -> Iterator[list[Asked]]:
    """A question and its opposite about the same picture: one pair a picture, then a second one of each, ..."""
    by_scene: dict[int, list[Asked]] = defaultdict(list)
    order = draws("question pairs", seed)
    for each in order.shuffled(asked):
        by_scene[each[0]].append(each)
    seen: set[Asked] = set()
    for turn in range(max(map(len, by_scene.values()), default=0)):
        for rows in order.shuffled([rows[turn] for rows in by_scene.values() if len(rows) > turn]):
            other = opposite(rows)
            if other and rows not in seen and other not in seen:
                seen |= {rows, other}
                yield order.shuffled([rows, other])


def opposite(asked: Asked) -> Asked | None:
    """The question of the same words about the same picture that has the other answer; None where there is none."""
    index, text, answer = asked
    if found := _RELATION.fullmatch(text):
        first, relation, second = found.groups()
        return index, f"Is the {second} {relation} the {first}?", _OPPOSITE[answer]
    if found := _LARGER.fullmatch(text):
        word, first, second = found.groups()
        word = "smaller" if word == "larger" else "larger"
        return index, f"Which is {word}, the {first} or the {second}?", second if answer == first else first
    if found := _MORE.fullmatch(text):
        first, second = found.groups()
        return index, f"Are there more {second} than {first}?", _OPPOSITE[answer]
    return None
