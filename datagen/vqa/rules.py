"""A model's words as a question and an answer, or the reason why they are none: the paper's rules as checks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from datagen.sources.types import Question
from datagen.vqa.types import Failed, Said
from datagen.vqa.words import content, evident, words

MIN_GROUNDED = 0.7
MAX_WORDS = 60

_FORM = re.compile(
    r"question\s*:[\s*]*(?P<question>[^\n]*?)[\s*]*(?:\n[\s*]*|/\s*)answer\s*:[\s*]*(?P<answer>[^\n]*)", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"\b(i(?:'m| am) (?:sorry|unable)|i can(?:not|'t| not)|as an ai|cannot (?:help|assist|answer)|not (?:mentioned|"
    r"specified|stated)|no information)\b",
    re.IGNORECASE,
)
_SOURCE = re.compile(r"caption|\bthe (?:description|sentence|text above)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# What each code means, for people; codes of transport failures speak for themselves.
CODES = {
    "unparsable": "not in the form Question: ... / Answer: ...",
    "refused": "the model declined, or says that it cannot know",
    "cut_short": "the token limit came before the end of the answer",
    "not_a_question": "the question has no question mark at its end",
    "too_long": f"over {MAX_WORDS} words",
    "mentions_caption": "speaks of the caption",
    "single_word": "the answer has less than two words",
    "ungrounded": "the answer says what the caption does not",
    "no_pair": "the offline grammar finds nothing (more) to ask",
    "repeated_question": "the same question was asked about this image before",
    "repeated_opening": "too many questions before it begin with the same word",
}


@dataclass(frozen=True)
class Rules:
    """`min_grounded` is the share of an answer's content words that its caption must make evident."""

    min_grounded: float = MIN_GROUNDED

    def judge(self, said: Said, caption: str) -> Question | Failed:
        """The pair, tidied, or the first rule that it breaks."""
        text = _CONTROL.sub("", said.text.replace("\r", "\n").encode("utf-8", "replace").decode())
        found = _FORM.search(text)
        if found is None:
            return Failed("refused" if _REFUSAL.search(text) else "unparsable")
        question, answer = (_tidy(found[part]) for part in ("question", "answer"))
        reason = self._broken(question, answer, caption, said.cut and not text[found.end() :].strip())
        return Failed(reason) if reason else Question(question, answer, said.kind)

    def _broken(self, question: str, answer: str, caption: str, cut: bool) -> str:
        if not question or not answer:
            return "unparsable"
        if _REFUSAL.search(answer):
            return "refused"
        if cut and not answer.endswith((".", "!")):
            return "cut_short"
        if not question.endswith("?"):
            return "not_a_question"
        if max(len(words(question)), len(words(answer))) > MAX_WORDS:
            return "too_long"
        if _SOURCE.search(question) or _SOURCE.search(answer):
            return "mentions_caption"
        if len(words(answer)) < 2:
            return "single_word"
        return "ungrounded" if grounded(answer, caption) < self.min_grounded else ""


def grounded(answer: str, caption: str) -> float:
    """Share of the answer's content words that the caption makes evident, 0 to 1; 0 for an answer without any."""
    said = content(answer)
    known = evident(caption)
    return sum(word in known for word in said) / len(said) if said else 0.0


def opening(question: str) -> str:
    """The first word, in lower case: what's -> what."""
    return re.sub(r"['’].*", "", next(iter(words(question)), ""))


def _tidy(text: str) -> str:
    return " ".join(text.strip(" \t*\"'“”").split())
