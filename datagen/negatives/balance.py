"""Balanced negatives: captions are matched so that what one gives up another takes, and blind rules come out even.

A caption and its edited self can be told apart without the image when edits prefer some words, lengths or orders.
Here every change is made together with its opposite, on another caption: "dog" becomes "cat" in one as "cat" becomes
"dog" in the other. So each word, length and (with `context`) word between two neighbours counts equally on both sides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from datagen.negatives.changes import Key, Offer, meet, offers
from datagen.negatives.types import KINDS, Caption, Exchange
from fuselip.core.errors import UsageError
from fuselip.core.plugins import did_you_mean

# Offers that wait under one key; beyond it the oldest goes, so that memory does not grow with the source.
WAITING = 200


def exchanges(captions: Iterable[Caption], kind: str, context: bool = True) -> Iterator[Exchange]:
    """Exchanges of one kind between captions of different images, each caption at most once, in one pass.

    The same for the same captions in the same order. With `context` (replace, swap, add_att) the words exchanged stand
    between the same neighbours, or are the same words in the other order; without it there are more, matched by list.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of negative {kind!r}{did_you_mean(kind, KINDS)}; known: {', '.join(KINDS)}")
    waiting: dict[Key, OrderedDict[int, Offer]] = {}
    listed: dict[int, list[Key]] = {}
    for number, caption in enumerate(captions):
        mine = offers(caption, kind, context)
        met = _match(mine, waiting)
        if met is None:
            for offer in mine:
                queue = waiting.setdefault(offer.gives, OrderedDict())
                queue[number] = offer
                if len(queue) > WAITING:
                    listed[queue.popitem(last=False)[0]].remove(offer.gives)
                listed.setdefault(number, []).append(offer.gives)
            continue
        other, exchange = met
        for key in set(listed.pop(other)):
            waiting[key].pop(other, None)
        yield exchange


def _match(mine: list[Offer], waiting: dict[Key, OrderedDict[int, Offer]]) -> tuple[int, Exchange] | None:
    """The first of the offers that fits one waiting, the longest waiting first."""
    for offer in mine:
        for other, theirs in waiting.get(offer.wants, {}).items():
            if theirs.caption.key == offer.caption.key:
                continue
            sides = meet(theirs, offer)
            if sides is not None and all(side.positive != side.negative for side in sides):
                return other, Exchange(offer.kind, *sides)
    return None
