"""Held-out visual questions, ours: a question with its answer among answers to questions that begin alike.

Neither the paper nor the publishers hold questions out. Ours are those on one picture in `one_in`, by the hash of its
name, so that whoever trains can leave out the same ones; models trained on all of a set have seen them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.types import Candidate, Query, Skip, TaskData
from fuselip.core import seeds
from fuselip.core.types import ImageRef, Input

WRONG = 9
"""Wrong answers beside the right one."""


@dataclass(frozen=True)
class Asked:
    """A question of the held-out part; `picture` is the name of its picture."""

    picture: str
    question: str
    answer: str

    @property
    def word(self) -> str:
        """The question word: what wrong answers are drawn by."""
        return self.question.lower().split()[0]


def is_held_out(picture: str, one_in: int) -> bool:
    """Whether the questions on the picture of this name are for testing; the same everywhere and in every order."""
    return seeds.derive("held-out vqa", picture) % one_in == 0


def clean_answer(answer: str) -> str:
    """Without its trailing dot, as in the paper's training."""
    return answer.strip().removesuffix(".").rstrip()


def questions(
    found: Iterable[Asked], image: Callable[[str], ImageRef], limit: int | None, seed: int, one_in: int
) -> TaskData:
    """The task of the held-out questions on the first `limit` pictures; `image` opens a picture by name.

    Wrong answers are drawn from those to held-out questions with the same first word, whatever the limit, and never
    include another answer to the same question on the same picture. The draw of a question depends on it alone, on
    the seed and on these answers.
    """
    asked: dict[tuple[str, str], list[str]] = defaultdict(list)
    by_word: dict[str, dict[str, str]] = defaultdict(dict)
    for each in found:
        asked[each.picture, each.question].append(each.answer)
        by_word[each.word].setdefault(each.answer.casefold(), each.answer)
    answers = {word: [by_word[word][name] for name in sorted(by_word[word])] for word in by_word}
    pictures = list(dict.fromkeys(picture for picture, _ in asked))[:limit]
    images = {picture: image(picture) for picture in pictures}
    queries: list[Query] = []
    skipped: list[Skip] = []
    candidates: dict[str, Candidate] = {}
    for (picture, question), right in asked.items():
        if picture not in images:
            continue
        one = Asked(picture, question, right[0])
        wrong = _wrong(answers[one.word], {answer.casefold() for answer in right}, seed, one)
        if not wrong:
            skipped.append(Skip(f"{picture}/{question}", "there is no other answer to questions with its first word"))
            continue
        candidates |= {f"answer/{text}": Candidate(f"answer/{text}", (Input(text),)) for text in (one.answer, *wrong)}
        queries.append(
            Query(
                key=f"{picture}/{question}",
                input=Input(question, images[picture]),
                relevance={f"answer/{one.answer}": 1.0},
                candidates=tuple(f"answer/{text}" for text in (one.answer, *wrong)),
                cluster=picture,
                tags={"question word": one.word},
            )
        )
    notes = (
        f"ours: the questions on one picture in {one_in}, by the hash of its name; up to {WRONG} wrong answers, drawn "
        "from those to other held-out questions with the same first word; a wrong one can be true by chance",
        "models trained on the whole set, as the published ones, have seen these questions",
    )
    return TaskData(tuple(queries), candidates, tuple(skipped), notes)


def _wrong(answers: list[str], right: set[str], seed: int, asked: Asked) -> list[str]:
    """Up to `WRONG` of the answers that are not `right`."""
    generator = seeds.generator("held-out vqa", seed, asked.picture, asked.question)
    drawn = generator.choice(len(answers), min(len(answers), WRONG + len(right)), replace=False)
    return [answers[place] for place in drawn.tolist() if answers[place].casefold() not in right][:WRONG]
