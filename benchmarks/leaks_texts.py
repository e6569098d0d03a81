"""Texts that occur in both: eight words in a row, or a whole short caption, whatever its case and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

WORDS = 8
# A shorter text is compared as a whole, unless it has so few words that it says nothing ("a dog").
MIN_WORDS = 4
# What is said of more pictures than this is a template ("rotate 30 degrees clockwise"), which no picture leaks by.
MAX_PICTURES = 3

_WORD = re.compile(r"\w+")


def grams(text: str) -> Iterator[str]:
    """The runs of WORDS words of a text; of a shorter one its words; of one with few words nothing."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    if len(words) < WORDS:
        if len(words) >= MIN_WORDS:
            yield " ".join(words)
        return
    for start in range(len(words) - WORDS + 1):
        yield " ".join(words[start : start + WORDS])


class TextIndex:
    """Texts of the benchmark by their runs of words. Memory grows with the benchmark alone."""

    def __init__(self) -> None:
        self._texts: dict[str, set[int]] = {}
        self._pictures: dict[str, set[str]] = {}

    def add(self, number: int, text: str, picture: str) -> None:
        """Enter text `number`, which belongs to `picture`."""
        for gram in grams(text):
            self._texts.setdefault(gram, set()).add(number)
            pictures = self._pictures.setdefault(gram, set())
            if len(pictures) <= MAX_PICTURES:
                pictures.add(picture)

    def templates(self) -> int:
        """Drop what is said of many pictures; returns how many runs that were."""
        common = [gram for gram, pictures in self._pictures.items() if len(pictures) > MAX_PICTURES]
        for gram in common:
            del self._texts[gram]
        self._pictures.clear()
        return len(common)

    def find(self, text: str) -> dict[int, str]:
        """Number of each text that shares a run with this one, and the first such run."""
        found: dict[int, str] = {}
        for gram in grams(text):
            for number in self._texts.get(gram, ()):
                found.setdefault(number, gram)
        return found
