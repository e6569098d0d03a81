"""Questions that a caption answers, by a small grammar: color, count, place, action, subject, object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from datagen.vqa import lexicon as lex
from datagen.vqa.chunks import Chunk, chunks

MAX_ANSWER = 14  # words
_HUES = ("red", "blue", "green", "yellow", "black", "white", "brown", "orange")
# What a noun phrase ends with that has no noun.
_BARE = lex.DETERMINERS | lex.COLORS | lex.ADJECTIVES | lex.ADVERBS | frozenset(lex.NUMBERS) | {"being"}


@dataclass(frozen=True)
class Draft:
    """An answer, and the ways to ask for it."""

    kind: str
    questions: tuple[str, ...]
    answer: str


def drafts(caption: str) -> list[Draft]:
    """What the grammar finds, without repetition."""
    run = chunks(caption)
    heads = [chunk.head for chunk in run if chunk.kind == "NP"]
    found: dict[tuple[str, str], Draft] = {}
    for at, chunk in enumerate(run):
        if chunk.kind != "NP":
            continue
        clear = _is_thing(chunk) and heads.count(chunk.head) == 1
        for make in _MAKERS if clear else (_shown,):
            for draft in make(run, at):
                if 2 <= len(draft.answer.split()) <= MAX_ANSWER:
                    found.setdefault((draft.kind, draft.answer), draft)
    return list(found.values())


def _is_thing(chunk: Chunk) -> bool:
    vague = chunk.low[0] in ("no", "all", "each", "another", "only")
    return chunk.head not in lex.NO_THING | _BARE and chunk.head[0].isalpha() and not vague


def _color(run: Sequence[Chunk], at: int) -> Iterator[Draft]:
    chunk = run[at]
    if chunk.head in lex.PERSONS:
        return
    low = list(chunk.low)
    body = low[: low.index("of")] if "of" in low else low
    where = [index for index, word in enumerate(body[:-1]) if word in lex.COLORS]
    if not where or where[-1] - where[0] > 2 or body[where[-1] + 1] in ("and", "&") or _coordinated(run, at):
        return
    colors = " ".join(body[where[0] : where[-1] + 1])
    if len(where) != len([word for word in body[where[0] : where[-1] + 1] if word != "and"]):
        return
    rest = Chunk("NP", chunk.words[: where[0]] + chunk.words[where[-1] + 1 :])
    be, do = ("are", "do") if chunk.plural else ("is", "does")
    name = rest.name
    questions = [
        f"What color {be} {name}?",
        f"Which color {do} {name} have?",
        f"In what color {be} {name}?",
    ]
    if len(where) == 1 and colors in _HUES:
        other = _HUES[(_HUES.index(colors) + 1 + len(name) % (len(_HUES) - 1)) % len(_HUES)]
        first, second = sorted((colors, other))
        questions += [f"{_upper(be)} {name} {first} or {second}?"] * 2
    yield Draft("color", tuple(questions), f"{_upper(name)} {be} {colors}.")


def _count(run: Sequence[Chunk], at: int) -> Iterator[Draft]:
    chunk = run[at]
    number = chunk.low[0]
    value = lex.NUMBERS.get(number, int(number) if number.isdigit() and len(number) < 3 else 0)
    if value < 2 or not chunk.plural or len(chunk.words) < 2 or not _ends_plural(chunk):
        return
    names = {value: name for name, value in lex.NUMBERS.items()}
    other = names.get(value + 1 if (value + len(chunk.text)) % 2 else max(value - 1, 2 if value > 2 else 3), "")
    what = " ".join(chunk.words[1:])
    questions = [f"How many {what} are there?", f"How many {what} can be seen?", f"What number of {what} is there?"]
    if other and number in lex.NUMBERS:
        first, second = sorted((number, other), key=lambda name: lex.NUMBERS[name])
        questions.append(f"Are there {first} or {second} {what}?")
    yield Draft("count", tuple(questions), _upper(f"{number} {what}"))


def _ends_plural(chunk: Chunk) -> bool:
    """By its noun alone: "two story building" counts no buildings."""
    return Chunk("NP", ("the", chunk.head)).plural


def _location(run: Sequence[Chunk], at: int) -> Iterator[Draft]:
    """Where a thing is, for the first noun phrase of a clause: what follows others may belong to an earlier one."""
    if not _is_subject(run, at):
        return
    chunk, next_ = run[at], at + 1
    next_ += _kind(run, next_) == "BE"
    verb = ""
    if _kind(run, next_) == "V" and run[next_].low[0] in lex.PLACED:
        verb, next_ = " " + run[next_].low[0], next_ + 1
    elif _kind(run, next_) == "V" and run[next_].low[0] in lex.PARTICIPLES:
        next_ += 1
        next_ += _kind(run, next_) == "P" and run[next_].low[0] in ("up", "down", "out")
    place = _place(run, next_, strict=not verb)
    if not place:
        return
    be = "are" if chunk.plural else "is"
    name = chunk.name
    yield Draft(
        "location",
        (
            f"Where {be} {name}{verb}?",
            f"Where {be} {name}{verb}?",
            f"In which place {be} {name}{verb}?",
            f"Can you tell where {name} {be}{verb}?",
        ),
        _upper(place),
    )


def _place(run: Sequence[Chunk], at: int, strict: bool) -> str:
    """A preposition of place and its noun phrase; empty where "in" means clothes, weather or an order."""
    if _kind(run, at) != "P" or run[at].low not in lex.PLACES or _kind(run, at + 1) != "NP":
        return ""
    thing = run[at + 1]
    bad = thing.head in lex.NO_THING | lex.NO_PLACE | _BARE
    vague = strict and run[at].low in (("by",), ("over",), ("across",), ("around",))
    return "" if bad or vague else f"{run[at].text} {thing.text}"


def _action(run: Sequence[Chunk], at: int) -> Iterator[Draft]:
    chunk, next_ = run[at], at + 1
    next_ += _kind(run, next_) == "BE"
    if chunk.head not in lex.ANIMATE or _kind(run, next_) != "V" or not run[next_].low[0].endswith("ing"):
        return
    answer = _rest(run, next_)
    be = "are" if chunk.plural else "is"
    name = chunk.name
    if not _coordinated(run, at):
        yield Draft(
            "action",
            (
                f"What {be} {name} doing?",
                f"Which activity {be} {name} engaged in?",
                f"Can you tell what {name} {be} doing?",
                f"How {be} {name} occupied?",
            ),
            _upper(answer),
        )


def _subject(run: Sequence[Chunk], at: int) -> Iterator[Draft]:
    """Who or what it is that does something, or is somewhere."""
    if not _is_subject(run, at):
        return
    chunk, next_ = run[at], at + 1
    next_ += _kind(run, next_) == "BE"
    if _kind(run, next_) == "V" and run[next_].low[0].endswith("ing"):
        what = _rest(run, next_)
    else:
        what = _place(run, next_, strict=True)
    if not what or chunk.head in what.lower().split():
        return
    if chunk.head in lex.PERSONS:
        questions: tuple[str, ...] = (f"Who is {what}?",)
    elif chunk.head in lex.ANIMALS:
        questions = (f"Which animal is {what}?", f"What is {what}?")
    else:
        questions = (f"What is {what}?", f"Which thing is {what}?")
    yield Draft("subject", questions, _upper(chunk.text))


def _object(run: Sequence[Chunk], at: int) -> Iterator[Draft]:
    """What someone holds, wears, ...; what a thing has or is full of."""
    chunk, next_ = run[at], at + 1
    if _coordinated(run, at):
        return
    be, do = ("are", "do") if chunk.plural else ("is", "does")
    if (
        not _after_verb(run, at)
        and _kind(run, next_) == "P"
        and run[next_].low == ("with",)
        and (what := _list(run, next_ + 1))
    ):
        told = f"{chunk.name} {'have' if chunk.plural else 'has'}"
        yield Draft("object", (f"What {do} {chunk.name} have?", f"Can you tell what {told}?"), what)
        return
    next_ += _kind(run, next_) == "BE"
    if _kind(run, next_) != "V":
        return
    verb = run[next_].low[0]
    by = run[next_ + 1].text if _kind(run, next_ + 1) == "P" else ""
    ing = verb.endswith("ing") and chunk.head in lex.ANIMATE
    filled = by in ("with", "in", "of", "by") and not verb.endswith("ing") and verb not in lex.FINITE
    placed = verb in lex.PLACED and run[next_ + 1 : next_ + 2] and run[next_ + 1].low in lex.PLACES
    if placed or not (ing or filled) or (what := _list(run, next_ + 1 + bool(by))) == "":
        return
    does = " ".join(filter(None, (verb, by)))
    questions = [f"What {be} {chunk.name} {does}?", f"Can you tell what {chunk.name} {be} {does}?"]
    if by in ("on", "at", "in", "with") and ing:
        questions.append(f"{_upper(by)} what {be} {chunk.name} {verb}?")
    yield Draft("object", tuple(questions), what)


def _list(run: Sequence[Chunk], at: int) -> str:
    """A noun phrase with those that "and" ties to it: "a couch and a chair"."""
    if _kind(run, at) != "NP" or run[at].head in lex.NO_THING | _BARE:
        return ""
    text, at = run[at].text, at + 1
    while _kind(run, at) == "AND" and run[at].text == "and" and _kind(run, at + 1) == "NP":
        if _kind(run, at + 2) in ("V", "BE"):  # the next noun phrase begins a clause of its own
            break
        text, at = f"{text} and {run[at + 1].text}", at + 2
    return _upper(text)


def _shown(run: Sequence[Chunk], at: int) -> Iterator[Draft]:
    """The last resort: the first thing with what follows it."""
    if at != 0:
        return
    end = next((index for index, chunk in enumerate(run) if chunk.kind == "END" or chunk.text == ","), len(run))
    whole = " ".join(_trimmed([word for chunk in run[:end] for word in chunk.words]))
    rest = _rest(run, 1) if _kind(run, 1) in ("V", "P") else ""
    answer = whole if len(whole.split()) <= MAX_ANSWER else " ".join(filter(None, (run[0].text, rest)))
    yield Draft(
        "shown",
        (
            "What can be seen here?",
            "Can you tell what this shows?",
            "Which scene is shown here?",
            "What does this show?",
        ),
        _upper(answer),
    )


def _rest(run: Sequence[Chunk], at: int) -> str:
    """A verb or preposition with all that belongs to it, up to "and", a comma or the end of the clause."""
    words: list[str] = []
    for index in range(at, len(run)):
        chunk = run[index]
        if chunk.kind in ("AND", "END", "BE") or (index > at and chunk.kind == "V"):
            break
        words += chunk.words
    return " ".join(_trimmed(words))


def _trimmed(words: list[str]) -> list[str]:
    """Without articles and prepositions at the end, whose noun was left out."""
    end = len(words)
    while end > 1 and (words[end - 1].lower() in lex.DETERMINERS - {"other"} or _is_preposition(words[end - 1])):
        end -= 1
    return words[:end]


def _is_preposition(word: str) -> bool:
    return word.lower() not in ("down", "up", "outside", "off", "by") and (word.lower(),) in lex.PREPOSITIONS


def _upper(text: str) -> str:
    """With a capital first letter; those within stay as they are, unlike with `capitalize`."""
    return text[:1].upper() + text[1:]


def _kind(run: Sequence[Chunk], at: int) -> str:
    return run[at].kind if 0 <= at < len(run) else ""


def _is_subject(run: Sequence[Chunk], at: int) -> bool:
    return at == 0 or _kind(run, at - 1) == "END"


def _after_verb(run: Sequence[Chunk], at: int) -> bool:
    """Whether its clause had a verb before: "holding a phone with both hands" says nothing of the phone."""
    for chunk in reversed(run[:at]):
        if chunk.kind in ("V", "END"):
            return chunk.kind == "V"
    return False


def _coordinated(run: Sequence[Chunk], at: int) -> bool:
    """Whether it is the second of "a dog and a cat", whose verb belongs to both."""
    return _kind(run, at - 1) == "AND" and at > 0


_MAKERS: tuple[Callable[[Sequence[Chunk], int], Iterator[Draft]], ...] = (
    _color,
    _count,
    _location,
    _action,
    _subject,
    _object,
    _shown,
)
