"""Which of two captions is true of the scene? Hard negatives by kind, pictures and captions crossed, and paraphrases.

What could be told without the picture is balanced out: among the questions of a kind, the true caption is as often the
longer one as the shorter one, as often the one that says "no", and as often the one with a combination of words that
training scenes never show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from benchmarks.tasks.drawn import BASES, draws, image, query, row, scenes, task, texts
from benchmarks.types import Candidate, Query, TaskContext, TaskData, TaskSpec
from datagen.scenes.draws import Draws
from datagen.scenes.negatives import Negative, negatives
from datagen.scenes.phrases import a, unique_phrases
from datagen.scenes.sample import is_clear
from datagen.scenes.truth import OPPOSITE, RELATIONS, count, describe, related
from datagen.scenes.types import Scene, Thing
from datagen.scenes.vocabulary import HELD_OUT
from fuselip.core.types import Input

QUERIES = 60
DRAWS = 4  # how often all kinds of negatives are drawn of each scene
CROSSED = 30
PARAPHRASED = 60

KINDS = {
    "replace_obj": "one shape replaced",
    "replace_att": "one color replaced",
    "replace_rel": "a relation turned round",
    "swap_obj": "two things exchanged in a relation",
    "swap_att": "the colors or the textures of two things exchanged",
    "add": "with a thing that is not there",
    "negate": "a denial in place of a claim, or a claim in place of a denial",
}

ROWS = (
    *(
        row(
            f"negatives-{kind}",
            "scenes_negatives:hard",
            f"which caption is true of the picture, not {what}?",
            "image -> text",
            citation="after SugarCrepe, arXiv 2306.14610",
            chance=0.5,
            params={"kind": kind},
        )
        for kind, what in KINDS.items()
    ),
    row(
        "winoground",
        "scenes_negatives:crossed",
        "two pictures and two captions of the same words: which belongs to which?",
        "image -> text",
        metric="group_score",
        also=("text_score", "image_score", "strict_group_score"),
        citation="after Winoground, arXiv 2204.03162",
        chance=1 / 6,
    ),
    row(
        "paraphrase-itt",
        "scenes_negatives:paraphrased",
        "are both true captions, which say the same in other words, nearer to the picture than the false one?",
        "image -> text",
        metric="itt",
        also=("strict_itt",),
        citation="after SugarCrepe++, arXiv 2406.11171",
        chance=1 / 3,
    ),
    row(
        "paraphrase-tot",
        "scenes_negatives:paraphrased_texts",
        "are the two true captions nearer to each other than to the false one? No picture is looked at",
        "text -> text",
        metric="tot",
        also=("strict_tot",),
        citation="after SugarCrepe++, arXiv 2406.11171",
        chance=1 / 3,
    ),
)


def hard(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/negatives-<kind>`: picture -> the true one of two captions."""
    queries, captions = [], dict[str, Candidate]()
    for number, (key, of, pair) in enumerate(_balanced(str(spec.params["kind"]), context.seed)):
        captions |= texts((pair.caption, pair.negative))
        pool = (pair.caption, pair.negative)
        queries.append(query(f"{key}/{pair.kind}/{number}", Input(image=image(of)), pool[0], pool, key))
    return task(queries, captions, context, "balanced by length, denial and combinations held out of training")


Row = tuple[str, Scene, Negative]
Difference = tuple[int, ...]


def _balanced(kind: str, seed: int) -> list[Row]:
    """As many questions of each difference between the true and the false caption as of the opposite difference."""
    by_difference: dict[Difference, list[Row]] = defaultdict(list)
    for each in _harvest(seed).get(kind, ()):
        by_difference[difference(each[2])].append(each)
    chosen: list[Row] = []
    for found, rows in sorted(by_difference.items()):
        opposite = by_difference.get(tuple(-sign for sign in found), [])
        chosen += rows[: len(opposite)]
    return _even(chosen, seed)


def _even(chosen: list[Row], seed: int) -> list[Row]:
    """At most QUERIES of them, in pairs of opposite difference."""
    waiting: dict[Difference, list[Row]] = defaultdict(list)
    pairs: list[list[Row]] = []
    for each in draws("negatives", seed).shuffled(chosen):
        found = difference(each[2])
        opposite = tuple(-sign for sign in found)
        if not any(found):
            pairs.append([each])
        elif waiting[opposite]:
            pairs.append([waiting[opposite].pop(), each])
        else:
            waiting[found].append(each)
    kept: list[Row] = []
    for pair in pairs:
        if len(kept) + len(pair) <= QUERIES:
            kept += pair
    return kept


def difference(pair: Negative) -> Difference:
    """The signs of what the true caption has more of: words, characters, denials, claims of held-out combinations."""
    true, false = (
        (
            len(text.split()),
            len(text),
            text.split().count("no"),
            sum(f" {word} {shape}" in text for word, shape in HELD_OUT) if " no " not in text else 0,
        )
        for text in (pair.caption, pair.negative)
    )
    return tuple((one > other) - (one < other) for one, other in zip(true, false, strict=True))


@lru_cache(maxsize=4)
def _harvest(seed: int) -> dict[str, tuple[Row, ...]]:
    """All different negatives by kind: one a scene first, then a second one of each, ..."""
    found: dict[str, dict[tuple[str, str, str], Row]] = defaultdict(dict)
    for turn in range(DRAWS):
        for key, of in scenes(seed, BASES):
            for each in negatives(of, draws("negatives", seed, key, turn)):
                found[each.kind].setdefault((key, each.caption, each.negative), (key, of, each))
    return {kind: tuple(rows.values()) for kind, rows in found.items()}


def crossed(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/winoground`: the colors or the places of two things of a scene are exchanged; each picture is asked."""
    queries, captions = [], dict[str, Candidate]()
    made = 0
    for key, of in scenes(context.seed):
        order = draws("crossed", context.seed, key)
        found = (_colours_crossed, _places_crossed)[made % 2](of, order)
        if not found:
            continue
        other, *pair = found
        captions |= {f"{key}/{side}": Candidate(f"{key}/{side}", (Input(text),)) for side, text in enumerate(pair)}
        pool = (f"{key}/0", f"{key}/1")
        what = "places" if made % 2 else "colours"
        for name, picture in zip(pool, (of, other), strict=True):
            asked = query(f"{name}-picture", Input(image=image(picture)), name, pool, key, key, {"exchanged": what})
            queries.append(asked)
        made += 1
        if made == CROSSED:
            break
    return task(queries, captions, context)


Crossed = tuple[Scene, str, str]
"""(the other scene, the caption of this one, the caption of the other one)."""


def _colours_crossed(of: Scene, order: Draws) -> Crossed | None:
    indices = range(len(of.things))
    for i, j in order.shuffled([(i, j) for i in indices for j in indices if i != j]):
        one, two = of.things[i], of.things[j]
        if one.shape == two.shape or one.colour == two.colour:
            continue
        other = _with(of, {i: replace(one, colour=two.colour), j: replace(two, colour=one.colour)})
        here, there = ([describe(each.things[k], ("colour", "shape")) for k in (i, j)] for each in (of, other))
        alone = all(count(of, p) == 1 and count(other, p) == 0 for p in here) and all(
            count(other, p) == 1 and count(of, p) == 0 for p in there
        )
        if alone and other.held_out and is_clear(other):
            first, second = (" and ".join(a(phrase.words) for phrase in phrases) for phrases in (here, there))
            return other, first, second
    return None


def _places_crossed(of: Scene, order: Draws) -> Crossed | None:
    for i, relation, j in _relations(of, order):
        one, two = of.things[i], of.things[j]
        other = _with(of, {i: replace(one, x=two.x, y=two.y), j: replace(two, x=one.x, y=one.y)})
        first, second = _named(of, i, order), _named(of, j, order)
        if first and second and is_clear(other):
            return other, f"{first} {relation} {second}", f"{second} {relation} {first}"
    return None


def _with(of: Scene, changed: dict[int, Thing]) -> Scene:
    return replace(of, things=tuple(changed.get(index, thing) for index, thing in enumerate(of.things)))


def _relations(of: Scene, order: Draws) -> list[tuple[int, str, int]]:
    """All (i, relation, j) that clearly hold, in random order."""
    things = of.things
    found = [
        (i, relation, j)
        for i, one in enumerate(things)
        for j, two in enumerate(things)
        for relation in RELATIONS
        if i != j and related(one, relation, two)
    ]
    return order.shuffled(found)


def _named(of: Scene, index: int, order: Draws) -> str:
    """ "a red star": words that mean this thing alone, its shape among them; "" where there are none."""
    phrases = [phrase for phrase in unique_phrases(of, index) if phrase.shape]
    return a(order.choice(phrases).words) if phrases else ""


def paraphrased(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/paraphrase-itt`: a picture, two true captions and a false one."""
    queries, captions = [], dict[str, Candidate]()
    for key, of, said in _paraphrases(context.seed):
        captions |= texts(said)
        queries.append(Query(key, Input(image=image(of)), dict.fromkeys(said[:2], 1.0), said, cluster=key))
    return task(queries, captions, context)


def paraphrased_texts(spec: TaskSpec, context: TaskContext) -> TaskData:
    """`scenes/paraphrase-tot`: the same captions, without the pictures."""
    queries, captions = [], dict[str, Candidate]()
    for key, _, (one, two, false) in _paraphrases(context.seed):
        captions |= texts((one, two, false))
        for own, other in ((one, two), (two, one)):
            tags = {"self": own}
            queries.append(query(f"{key}/{own}", Input(own), other, (other, false), key, key, tags))
    return task(queries, captions, context)


def _paraphrases(seed: int) -> Iterator[tuple[str, Scene, tuple[str, str, str]]]:
    """ "a star above a ring", "a ring below a star", and, which is false, "a ring above a star"."""
    made = 0
    for key, of in scenes(seed):
        order = draws("paraphrases", seed, key)
        for i, relation, j in _relations(of, order)[:4]:
            first, second = _named(of, i, order), _named(of, j, order)
            if first and second:
                opposite = OPPOSITE[relation]
                one, two = f"{first} {relation} {second}", f"{second} {opposite} {first}"
                yield key, of, (one, two, f"{second} {relation} {first}")
                made += 1
                break
        if made == PARAPHRASED:
            return
