"""Where a caption names an object, an attribute or a relation that the lexicon knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from datagen.negatives.lexicon import WORDS

_WORD = re.compile(r"[A-Za-z']+(?:-[A-Za-z']+)*")
_VOWELS = frozenset("aeiou")
# What follows a noun rather than an adjective: "glass" is a dish and a material, "orange" a food and a colour.
_AFTER_NOUN = frozenset(
    (
        "and",
        "or",
        "on",
        "in",
        "at",
        "of",
        "with",
        "to",
        "from",
        "by",
        "next",
        "near",
        "under",
        "over",
        "is",
        "are",
        "sits",
        "that",
        "while",
        "for",
    )
)


@dataclass(frozen=True)
class Slot:
    """A word (or fixed phrase) of a caption: `kind` obj, att or rel, and the list of the lexicon it is from.

    `article` is whether a or an stands before it; `before` and `after` are the words beside it ("": none, "a" also for
    "an"). All in lower case.
    """

    start: int
    end: int
    text: str
    kind: str
    category: str
    article: bool
    before: str
    after: str

    @property
    def vowel(self) -> bool:
        return self.text[0] in _VOWELS


def words(caption: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return [match.group().lower() for match in _WORD.finditer(caption)]


def slots(caption: str) -> list[Slot]:
    """All slots in order; the longest phrase wins, and none overlap."""
    tokens = list(_WORD.finditer(caption))
    lowered = [token.group().lower() for token in tokens]
    found: list[Slot] = []
    at = 0
    while at < len(tokens):
        length = _longest(lowered, at)
        if not length:
            at += 1
            continue
        text = " ".join(lowered[at : at + length])
        kind, category = _meaning(text, lowered, at + length)
        end = tokens[at + length - 1].end()
        if caption[tokens[at].start() : end].lower() == text:  # nothing but single spaces within a phrase
            before = lowered[at - 1] if at else ""
            before = "a" if before == "an" else before
            after = lowered[at + length] if at + length < len(tokens) else ""
            found.append(Slot(tokens[at].start(), end, text, kind, category, before == "a", before, after))
        at += length
    return found


def substitute(caption: str, changes: Sequence[tuple[Slot, str]]) -> str:
    """The caption with each slot's word replaced; capitals at the start of the caption and a/an are kept right."""
    for slot, new in sorted(changes, key=lambda change: -change[0].start):
        new = _cased(new, caption[slot.start : slot.end])
        before = caption[: slot.start]
        if slot.article and slot.vowel != (new[0].lower() in _VOWELS):
            n = "N" if len(new) > 1 and new.isupper() else "n"
            before = re.sub(r"\b([Aa])[Nn]?(\W+)$", r"\1\2" if slot.vowel else rf"\1{n}\2", before)
        caption = before + new + caption[slot.end :]
    return caption


def _cased(new: str, old: str) -> str:
    """`new` in capitals where `old` is."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _longest(lowered: Sequence[str], at: int) -> int:
    known = _lookup()
    return next((n for n in (4, 3, 2, 1) if " ".join(lowered[at : at + n]) in known and at + n <= len(lowered)), 0)


def _meaning(text: str, lowered: Sequence[str], after: int) -> tuple[str, str]:
    meanings = _lookup()[text]
    if len(meanings) == 1:
        return meanings[0]
    noun = after >= len(lowered) or lowered[after] in _AFTER_NOUN
    return next((each for each in meanings if (each[0] == "obj") == noun), meanings[0])


@cache
def _lookup() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, lists in WORDS.items():
        for category, listed in lists.items():
            for word in listed:
                found.setdefault(word, []).append((kind, category))
    return found
