"""The ways in which a caption can take part in an exchange, kind by kind.

An Offer is one of them: it waits under `gives` for a caption that asks for it, and asks for those waiting under
`wants`. Two offers that meet differ in one thing, and in opposite directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from datagen.negatives.lexicon import OBJECTS, exclusive
from datagen.negatives.slots import Slot, slots, substitute, words
from datagen.negatives.types import Caption, Side

Key = tuple[object, ...]
# Between two things, only such words: then "a dog and a cat" is no other than "a cat and a dog".
_SYMMETRIC = frozenset(
    (
        "and",
        "or",
        "a",
        "an",
        "the",
        "next",
        "to",
        "beside",
        "near",
        "with",
        "by",
        "together",
        "two",
        "three",
        "four",
        "five",
        "six",
        "some",
    )
)
# Often in the picture and not in its caption, so that "no woman" cannot be concluded; nor is colour said of people.
_UNMENTIONED = ("people",)


@dataclass(frozen=True)
class Offer:
    """`meet(other)` gives both sides of the exchange, or None where the two do not fit after all."""

    kind: str
    caption: Caption
    gives: Key
    wants: Key
    slots: tuple[Slot, ...]
    forms: frozenset[str]  # every word of the caption, and singular or plural of it

    def lacks(self, word: str) -> bool:
        return not any(part in self.forms for part in (word, _OTHER_NUMBER.get(word, word)))


def offers(caption: Caption, kind: str, context: bool) -> list[Offer]:
    """All of a caption's offers of a kind. With `context`, what is exchanged stands between the same two words."""
    found = slots(caption.text)
    forms = frozenset(words(caption.text)) | {slot.text for slot in found}
    return [
        Offer(kind, caption, gives, wants, used, forms)
        for gives, wants, used in _FINDERS[kind](found, caption.text, context)
    ]


def meet(one: Offer, other: Offer) -> tuple[Side, Side] | None:
    """Both sides, or None where the exchange would not make both captions false."""
    return _MEETINGS[one.kind](one, other)


Found = Iterator[tuple[Key, Key, tuple[Slot, ...]]]


def _replace(kind: str) -> Callable[[list[Slot], str, bool], Found]:
    def find(found: list[Slot], text: str, context: bool) -> Found:
        for slot in found:
            if slot.kind == kind:
                around: Key = (slot.before, slot.after) if context else (slot.article,)
                key = (slot.category, *around)
                yield key, key, (slot,)

    return find


def _swap(kind: str) -> Callable[[list[Slot], str, bool], Found]:
    def find(found: list[Slot], text: str, context: bool) -> Found:
        """Two words of one number; in the peer they stand in the other order (lists, or words of one list)."""
        for one, two in combinations([slot for slot in found if slot.kind == kind], 2):
            same = one.category == two.category
            plural = one.category.endswith("+") != two.category.endswith("+")
            if plural or not exclusive(one.text, two.text) or (kind == "att" and (not same or one.after == two.after)):
                continue
            if (one.article or two.article) and one.vowel != two.vowel:
                continue  # a/an would change places too, and not always
            if not set(words(text[one.end : two.start])) - _SYMMETRIC:
                continue
            names = (one.text, two.text) if same or context else (one.category, two.category)
            yield names, names[::-1], (one, two)

    return find


def _move(found: list[Slot], text: str, context: bool) -> Found:
    """An attribute from the noun it stands before to one that has none; in the peer it moves the other way."""
    nouns = [slot for slot in found if slot.kind == "obj"]
    attributes = [slot for slot in found if slot.kind == "att" and slot.category != "numbers"]
    for attribute in attributes:
        owner = next((noun for noun in nouns if text[attribute.end : noun.start] == " "), None)
        if owner is None or (attribute.article and attribute.vowel != owner.vowel) or attribute.before != "a":
            continue
        for noun in nouns:
            if noun is owner or noun.text == owner.text or noun.category.startswith(_UNMENTIONED):
                continue
            if not noun.article or noun.vowel != attribute.vowel:
                continue
            forward = noun.start > attribute.start
            name = attribute.text if context else attribute.category
            yield (name, forward), (name, not forward), (attribute, owner, noun)


def _together(found: list[Slot], text: str, context: bool) -> Found:
    """A thing that both captions name, and one that only this one does."""
    nouns = list({slot.text: slot for slot in found if slot.kind == "obj"}.values())
    for shared in nouns:
        for own in nouns:
            if own is not shared and not own.category.startswith(_UNMENTIONED):
                key = (shared.text, own.category)
                yield key, key, (shared, own)


def _absence(found: list[Slot], text: str, context: bool) -> Found:
    for own in {slot.text: slot for slot in found if slot.kind == "obj"}.values():
        if not own.category.startswith(_UNMENTIONED):
            yield (own.category,), (own.category,), (own,)


def _replaced(one: Offer, other: Offer) -> tuple[Side, Side] | None:
    mine, yours = one.slots[0], other.slots[0]
    if not (exclusive(mine.text, yours.text) and one.lacks(yours.text) and other.lacks(mine.text)):
        return None

    def side(offer: Offer, old: Slot, new: Slot) -> Side:
        text = offer.caption.text
        return Side(
            offer.caption.key, text, text, substitute(text, [(old, new.text)]), f"{new.text} instead of {old.text}"
        )

    return side(one, mine, yours), side(other, yours, mine)


def _swapped(one: Offer, other: Offer) -> tuple[Side, Side] | None:
    def side(offer: Offer) -> Side:
        first, second = offer.slots
        text = offer.caption.text
        made = substitute(text, [(first, second.text), (second, first.text)])
        return Side(offer.caption.key, text, text, made, f"swap {first.text} and {second.text}")

    return side(one), side(other)


def _moved(one: Offer, other: Offer) -> tuple[Side, Side] | None:
    def side(offer: Offer) -> Side:
        attribute, owner, noun = offer.slots
        text = offer.caption.text
        changes = [
            (attribute.start, owner.start, ""),
            (noun.start, noun.start, f"{text[attribute.start : attribute.end]} "),
        ]
        for start, end, new in sorted(changes, reverse=True):
            text = text[:start] + new + text[end:]
        change = f"{attribute.text} {noun.text} instead of {attribute.text} {owner.text}"
        return Side(offer.caption.key, offer.caption.text, offer.caption.text, text, change)

    return side(one), side(other)


def _stated(templates: tuple[str, ...]) -> Callable[[Offer, Offer], tuple[Side, Side] | None]:
    """Statements that are true of one image and false of the other, each once: no text tells which."""

    def meeting(one: Offer, other: Offer) -> tuple[Side, Side] | None:
        mine, yours = one.slots[-1], other.slots[-1]
        if not (exclusive(mine.text, yours.text) and one.lacks(yours.text) and other.lacks(mine.text)):
            return None
        shared = one.slots[0]
        template = templates[(len(one.caption.text) + len(other.caption.text)) % len(templates)]
        first = template.format(shared=_a(shared), this=_a(mine), other=yours.text)
        second = template.format(shared=_a(shared), this=_a(yours), other=mine.text)
        return (
            Side(one.caption.key, one.caption.text, first, second),
            Side(other.caption.key, other.caption.text, second, first),
        )

    return meeting


def _a(slot: Slot) -> str:
    if slot.category.endswith("+"):
        return slot.text
    return f"an {slot.text}" if slot.vowel else f"a {slot.text}"


_OTHER_NUMBER = {
    word: other
    for name, many in OBJECTS.items()
    if name.endswith("+")
    for one, two in zip(OBJECTS[name[:-1]], many, strict=True)
    for word, other in ((one, two), (two, one))
}
_FINDERS: dict[str, Callable[[list[Slot], str, bool], Found]] = {
    "replace_obj": _replace("obj"),
    "replace_att": _replace("att"),
    "replace_rel": _replace("rel"),
    "swap_obj": _swap("obj"),
    "swap_att": _swap("att"),
    "add_att": _move,
    "add_obj": _together,
    "negate": _absence,
}
_MEETINGS: dict[str, Callable[[Offer, Offer], tuple[Side, Side] | None]] = {
    "replace_obj": _replaced,
    "replace_att": _replaced,
    "replace_rel": _replaced,
    "swap_obj": _swapped,
    "swap_att": _swapped,
    "add_att": _moved,
    "add_obj": _stated(
        ("{shared} and {this}", "a picture of {shared} and {this}", "there is {shared}, and also {this}")
    ),
    "negate": _stated(
        ("{this} but no {other}", "there is {this}, but no {other}", "a picture of {this}, without any {other}")
    ),
}
