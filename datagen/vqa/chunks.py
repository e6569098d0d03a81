"""A caption as a flat run of chunks: noun phrases, verbs, prepositions and breaks. No dictionary of nouns is needed.

Words of closed classes mark where chunks begin and end; what is left between them are adjectives and nouns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from datagen.vqa import lexicon as lex

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9'’&-]*|[.,;:!?()]")


@dataclass(frozen=True)
class Chunk:
    """`kind` is NP, V (does or is done), BE, P (preposition), AND, or END (of a clause)."""

    kind: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def low(self) -> tuple[str, ...]:
        return tuple(word.lower() for word in self.words)

    @property
    def head(self) -> str:
        """The noun of a noun phrase: the last word before "of", or after it in "a couple of signs"."""
        low = self.low
        before = low[low.index("of") - 1] if "of" in low[1:] else low[-1]
        return low[-1] if before in lex.MEASURES else before

    @property
    def plural(self) -> bool:
        first, head = self.low[0], self.head
        if "and" in self.low and first not in lex.SINGULAR | {"the"}:
            return (head not in lex.COLORS and not set(self.low) & lex.COLORS) or _plural(head)
        if first in lex.SINGULAR and head == (self.low[self.low.index("of") - 1] if "of" in self.low else self.low[-1]):
            return False
        return first in lex.PLURAL or _plural(head)

    @property
    def name(self) -> str:
        """With "the" in place of its article, number or "a couple of"; possessives stay."""
        words = list(self.words)
        if "of" in self.low and self.low[self.low.index("of") - 1] in lex.MEASURES:
            words = words[self.low.index("of") + 1 :]
        if words[0].lower() in lex.DETERMINERS - lex.POSSESSIVE or words[0].isdigit():
            words = words[1:]
        return " ".join(words if words and words[0].lower() in lex.POSSESSIVE else ["the", *words])


def _plural(noun: str) -> bool:
    if noun in lex.PLURAL_NOUNS:
        return True
    return noun.endswith("s") and not noun.endswith(("ss", "us", "is")) and noun not in lex.SINGULAR_IN_S


def chunks(caption: str) -> list[Chunk]:
    """The chunks of a caption, without phrases such as "a picture of" at its beginning."""
    text = " ".join(caption.split())
    text = text.lower() if text.isupper() else text
    for _ in range(2):
        for heading in lex.HEADINGS:
            text = re.sub(heading, "", text, flags=re.IGNORECASE)
    tokens: list[str] = _TOKEN.findall(text)
    if tokens and not (len(tokens) > 1 and tokens[1][0].isupper() and tokens[0].lower() not in lex.DETERMINERS):
        tokens[0] = tokens[0].lower()
    found: list[Chunk] = []
    at = 0
    while at < len(tokens):
        chunk, at = _next(tokens, at, found)
        found.append(chunk)
    return found


def _next(tokens: list[str], at: int, before: list[Chunk]) -> tuple[Chunk, int]:
    low = tokens[at].lower()
    after = tokens[at + 1].lower() if at + 1 < len(tokens) else ""
    told = bool(before) and before[-1].kind == "NP"
    if told and low in ("that", "which", "who") and after in lex.BE | lex.HAVING | lex.FINITE:
        return _next(tokens, at + 1, before)  # "a dog that is asleep": a dog is asleep
    if not low[0].isalnum() or low in lex.BREAKS:
        return Chunk("AND" if low == "," else "END", (low,)), at + 1
    if low in ("and", "&"):
        return Chunk("AND", ("and",)), at + 1
    if low in lex.BE:
        return Chunk("BE", (low,)), at + 1
    if low in lex.MODALS or (low in lex.HAVING and (after in lex.MODALS | lex.PARTICIPLES or after.endswith("ed"))):
        return Chunk("END", (low,)), at + 1
    if low in lex.HAVING and told:
        return Chunk("P", ("with",)), at + 1
    if length := _preposition(tokens, at):
        return Chunk("P", tuple(tokens[at : at + length])), at + length
    if _is_verb(tokens, at, before):
        return Chunk("V", (progressive(low),)), at + 1
    return _noun_phrase(tokens, at)


def _preposition(tokens: list[str], at: int) -> int:
    """How many words of a preposition stand here, 0 for none."""
    for phrase in lex.PREPOSITIONS:
        if tuple(token.lower() for token in tokens[at : at + len(phrase)]) == phrase:
            return len(phrase)
    return 0


def _is_verb(tokens: list[str], at: int, before: list[Chunk]) -> bool:
    """Only what follows a noun phrase, a form of "be", "and" or "while" can be one: "a flying kite" has none."""
    low = tokens[at].lower()
    if low in lex.NO_VERB or not before or not (before[-1].kind in ("NP", "BE", "AND") or before[-1].low[0].isalpha()):
        return False
    if low.endswith("ing") and len(low) > 4:
        return not _opens_compound(tokens, at, before)
    if low in lex.PARTICIPLES or (low.endswith("ed") and len(low) > 4):
        return before[-1].kind in ("NP", "BE") and not _is_noun_next(tokens, at)
    return before[-1].kind == "NP" and _is_finite(tokens, at, before[-1])


def progressive(verb: str) -> str:
    """sits -> sitting, ride -> riding; participles and words in -ing as they are."""
    if verb not in lex.FINITE or verb.endswith("ing"):
        return verb
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "ying"
    for ending in ("ches", "shes", "sses", "oes"):
        verb = verb.removesuffix("es") if verb.endswith(ending) else verb
    verb = verb if verb.endswith("ss") else verb.removesuffix("s")
    if verb in ("lie", "tie"):
        return verb[:-2] + "ying"
    if verb in ("sit", "run", "get", "swim", "cut", "hit"):
        return verb + verb[-1] + "ing"
    return (verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb) + "ing"


def _is_noun_next(tokens: list[str], at: int) -> bool:
    """Whether an open word follows: then "painted" in "a bright painted bus" is an adjective."""
    if at + 1 >= len(tokens):
        return False
    after = tokens[at + 1].lower()
    closed = lex.DETERMINERS | lex.ADVERBS | lex.BREAKS | lex.BE | {"and", "of"}
    return after[0].isalpha() and after not in closed and not _preposition(tokens, at + 1) and not after.endswith("ing")


def _opens_compound(tokens: list[str], at: int, before: list[Chunk]) -> bool:
    """After "and" or a comma, "cutting board" is a thing: a verb there is followed by something else than a noun."""
    if before[-1].kind != "AND" or at + 1 >= len(tokens):
        return False
    after = tokens[at + 1].lower()
    return after not in lex.DETERMINERS and not _preposition(tokens, at + 1)


def _noun_phrase(tokens: list[str], at: int) -> tuple[Chunk, int]:
    start = at
    at += 1
    while at < len(tokens):
        low = tokens[at].lower()
        joins = low == "of" and at + 1 < len(tokens)
        if low == "and":  # black and white cat: one noun phrase
            joins = tokens[at - 1].lower() in lex.COLORS and _is_color(tokens, at + 1)
        elif not joins:
            joins = _joins(tokens, start, at)
        if not joins:
            break
        at += 2 if low in ("of", "and") else 1
    return Chunk("NP", tuple(tokens[start:at])), at


def _is_color(tokens: list[str], at: int) -> bool:
    return at < len(tokens) and tokens[at].lower() in lex.COLORS


def _joins(tokens: list[str], start: int, at: int) -> bool:
    """Whether the word at `at` goes on with the noun phrase that began at `start`."""
    low = tokens[at].lower()
    if not low[0].isalnum() or low in lex.BREAKS | lex.BE | lex.HAVING or _preposition(tokens, at):
        return False
    previous = tokens[at - 1].lower()
    if low in lex.ADVERBS | lex.MODALS:  # "a can of soda"
        return previous in lex.DETERMINERS
    if low in lex.DETERMINERS:
        return previous in ("of", "all", "the") or (low == "other" and previous in lex.DETERMINERS)
    opened = previous in lex.DETERMINERS | lex.COLORS | lex.ADJECTIVES | set(lex.NUMBERS) | {
        "of",
        "very",
        "well",
        "really",
    }
    if opened or low in lex.NO_VERB:
        return True
    verbal = (low.endswith("ing") and len(low) > 4) or low in lex.PARTICIPLES
    if verbal or (low.endswith("ed") and len(low) > 4):
        return not low.endswith("ing") and _is_noun_next(tokens, at)
    return not _is_finite(tokens, at, Chunk("NP", tuple(tokens[start:at])))


def _is_finite(tokens: list[str], at: int, subject: Chunk) -> bool:
    """Whether a verb stands here that agrees with its subject and goes on, unlike in "near a fruit stand with"."""
    low = tokens[at].lower()
    if low not in lex.FINITE or at + 1 >= len(tokens) or low.endswith("s") == subject.plural:
        return False
    after = tokens[at + 1].lower()
    goes_on = lex.DETERMINERS | lex.ADVERBS | lex.PARTICIPLES | lex.COLORS
    return after in goes_on or bool(_preposition(tokens, at + 1)) or after.endswith("ing")
