"""Words of a text as far as grounding needs them: content words, cut to stems, with a few kinds for their members."""

from __future__ import annotations

import re

WORD = re.compile(r"[a-z0-9]+(?:['’][a-z]+)?")

_STOP = """
    a an the this that these those some any all both each of on in at to from by with for and or but as than into onto
    over under about through is are was were be been being am do does did has have had having can could will would may
    might should must it its he she they them him her his hers their theirs we us our you your i me my who whom whose
    which what where when why how there here not no yes so very just also too s t re ve ll d while up down out off
    one ones thing things something someone
"""
STOP = frozenset(_STOP.split())

# A caption that has a word on the right makes the word on the left evident.
_KINDS = {
    "person": "man woman boy girl child kid lady guy player rider skier surfer skateboarder toddler baby adult chef",
    "people": "men women boys girls children kids ladies guys players couple crowd family team persons",
    "animal": "dog cat horse cow sheep bear bird elephant zebra giraffe goat kitten puppy duck lion",
    "color": "red blue green yellow orange purple pink brown black white gray grey tan beige silver gold",
    "food": "pizza sandwich cake salad soup fruit bread donut vegetable",
}
_COUNTED = "two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: str(number) for number, word in enumerate(_COUNTED.split(), 2)}
_SAME = {**_NUMBERS, "grey": "gray", "colour": "color", "couple": "2", "pair": "2", "photograph": "photo"}
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "knives": "knife", "leaves": "leaf", "shelves": "shelf", "stood": "stand",
    "sat": "sit", "held": "hold", "ate": "eat", "rode": "ride", "ran": "run", "wore": "wear", "worn": "wear",
    "laid": "lay", "lying": "lie", "took": "take", "made": "make", "ridden": "ride", "eaten": "eat", "taken": "take",
}  # fmt: skip


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def stem(word: str) -> str:
    """The word without its English endings, only as well as comparing two texts needs: riding, rides, ride -> rid."""
    word = re.sub(r"['’].*", "", word)
    word = _IRREGULAR.get(word, word)
    word = _SAME.get(word, word)
    for ending, put in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ied", "y"), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not (ending == "s" and word.endswith("ss")):
            word = word[: -len(ending)] + put
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiosl":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


def content(text: str) -> list[str]:
    """Stems of the words that say something, in order."""
    return [stem(word) for word in words(text) if word not in STOP]


def evident(caption: str) -> set[str]:
    """Stems that a caption stands for: its own, and the kinds of things it names."""
    own = {stem(word) for word in words(caption)}
    return own | {stem(kind) for kind, members in _STEMS.items() if own & members}


_STEMS = {kind: {stem(member) for member in members.split()} for kind, members in _KINDS.items()}
