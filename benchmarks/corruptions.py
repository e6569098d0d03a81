"""Corruptions of a question: a picture with noise, blur, JPEG blocks or a hole; a text with slips or missing words.

Or a half that is missing or another question's. Seeded by what they corrupt: the same question is corrupted alike in
every run and for every encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.controls import stripped, swapped
from benchmarks.types import Query
from fuselip.core import seeds
from fuselip.core.types import ImageRef, Input, Operation

SWAP_SHARE = 0.5
"""Of the words that are long enough, so many have two inner letters swapped."""

DROP_SHARE = 0.25
"""Of the words of a text, so many are left out (at least one, never all)."""

INNER = 4
"""Letters a word must have to get a slip: its first and last stay, so that it can still be read."""


def noise(image: ImageRef) -> ImageRef:
    seed = seeds.derive("corruption", "noise", image.key)
    return image.then(Operation.of("edit.noise", 1, kind="gaussian", level=40, seed=seed))


def blur(image: ImageRef) -> ImageRef:
    return image.then(Operation.of("edit.blur", 1, radius=4))


def jpeg(image: ImageRef) -> ImageRef:
    return image.then(Operation.of("edit.jpeg", 1, quality=10))


def occlusion(image: ImageRef) -> ImageRef:
    return image.then(Operation.of("edit.cutout", 1, row="center", column="center", percent=50))


def typos(text: str) -> str:
    """Neighbouring inner letters swapped in half of the words of four letters and more; in one at least."""
    words = text.split()
    able = [place for place, word in enumerate(words) if _swaps(word)]
    if not able:
        return text
    generator = seeds.generator("corruption", "typos", text)
    count = max(1, round(SWAP_SHARE * len(able)))
    for place in generator.choice(able, count, replace=False):
        word = words[place]
        at = int(generator.choice(_swaps(word)))
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def _swaps(word: str) -> list[int]:
    """Where a letter and its right neighbour can be swapped, to effect."""
    if len(word) < INNER:
        return []
    pairs = range(1, len(word) - 2)
    return [at for at in pairs if word[at : at + 2].isalpha() and word[at] != word[at + 1]]


def dropped_words(text: str) -> str:
    """A quarter of the words left out, one at least; a single word stays."""
    words = text.split()
    if len(words) < 2:
        return text
    count = max(1, round(DROP_SHARE * len(words)))
    gone = set(seeds.generator("corruption", "dropped words", text).choice(len(words), count, replace=False).tolist())
    return " ".join(word for place, word in enumerate(words) if place not in gone)


IMAGES: dict[str, tuple[Callable[[ImageRef], ImageRef], str]] = {
    "noise": (noise, "gaussian, standard deviation 40 of 255"),
    "blur": (blur, "gaussian, radius 4 pixels"),
    "jpeg": (jpeg, "quality 10"),
    "occlusion": (occlusion, "a black rectangle of half each side over the centre"),
}
TEXTS: dict[str, tuple[Callable[[str], str], str]] = {
    "typos": (typos, "inner letters swapped in half of the words"),
    "dropped words": (dropped_words, "a quarter of the words"),
}
MISSING = {"no image": ("text", "the text alone"), "no text": ("image", "the image alone")}
ABOUT = {name: about for table in (MISSING, IMAGES, TEXTS) for name, (_, about) in table.items()}


def variants(queries: Sequence[Query]) -> dict[str, Sequence[Query]]:
    """{"clean": the queries, "no image", "no text", each corruption: the same queries, corrupted where they can be}.

    A query that has nothing to corrupt stays as it is, so that all scores are of the same queries; a corruption that
    changes none of them is left out.
    """
    found: dict[str, Sequence[Query]] = {"clean": queries}
    for name, (keep, _) in MISSING.items():
        halves = stripped(queries, keep)
        if halves is not None:
            found[name] = halves
    for name, (spoil, _) in IMAGES.items():
        found[name] = [_with(query, image=spoil) for query in queries]
    for name, (slip, _) in TEXTS.items():
        found[name] = [_with(query, text=slip) for query in queries]
    return {name: rows for name, rows in found.items() if name == "clean" or changed(queries, rows)}


def conditions(queries: Sequence[Query]) -> dict[str, Sequence[Query]]:
    """`variants`, and "wrong image", "wrong text" (another question's) and "upper case", where they apply."""
    found = variants(queries)
    further = {
        "wrong image": swapped(queries),
        "wrong text": wrong_texts(queries),
        "upper case": [_with(query, text=str.upper) for query in queries],
    }
    return found | {name: rows for name, rows in further.items() if rows is not None and changed(queries, rows)}


def wrong_texts(queries: Sequence[Query]) -> tuple[Query, ...] | None:
    """Every query of both modalities with the text of another such query, one that reads otherwise.

    None (n/a) where there are no two texts. Other queries stay as they are, as in `controls.swapped`.
    """
    texts = sorted({query.input.text for query in queries if query.input.modality == "image+text"})
    if len(texts) < 2:
        return None

    def other(query: Query) -> Query:
        if query.input.modality != "image+text":
            return query
        rest = [text for text in texts if text != query.input.text]
        drawn = int(seeds.generator("corruption", "wrong text", query.key).integers(len(rest)))
        return replace(query, input=replace(query.input, text=rest[drawn]))

    return tuple(map(other, queries))


def changed(before: Sequence[Query], after: Sequence[Query]) -> int:
    """How many queries ask something else."""
    return sum(one.input != other.input for one, other in zip(before, after, strict=True))


def _with(
    query: Query, image: Callable[[ImageRef], ImageRef] | None = None, text: Callable[[str], str] | None = None
) -> Query:
    asked = query.input
    ref = image(asked.image) if image and asked.image else asked.image
    return replace(query, input=Input(text(asked.text) if text and asked.text else asked.text, ref))
