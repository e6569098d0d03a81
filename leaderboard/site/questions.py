"""Questions on which encoders disagree, with their pictures: what the drill-down of a task shows."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.score import TIE
from benchmarks.types import Candidate, Prediction, TaskData
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef, Input
from leaderboard.types import Answer

SIDE = 160
MOST = 60
"""Questions shown of a task."""

PICKS = 8
"""Encoders whose choices are shown, best first."""


@dataclass(frozen=True)
class Part:
    """A text and the file name of a picture ("" for none) in the site's pictures folder."""

    text: str
    picture: str = ""


@dataclass(frozen=True)
class Pick:
    """What one encoder put first: `right` is the question's value for it, in [0, 1]."""

    encoder: str
    chosen: Part
    right: float


@dataclass(frozen=True)
class Question:
    """One question. `right` of `of` encoders answered it rightly; `answers` are its right candidates."""

    key: str
    asked: Part
    answers: tuple[Part, ...]
    picks: tuple[Pick, ...]
    right: float
    of: int
    pool: int


@dataclass
class TaskQuestions:
    """The questions of a task on which encoders disagree most; `pictures` are JPEG files by name."""

    name: str
    questions: list[Question] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    unread: int = 0

    def part(self, given: Input) -> Part:
        return Part(given.text, self._picture(given.image))

    def _picture(self, image: ImageRef | None) -> str:
        if image is None:
            return ""
        name = hashlib.sha256(image.key.encode()).hexdigest()[:24] + ".jpg"
        if name not in self.pictures:
            try:
                small = image.load()
            except UserError:
                self.unread += 1
                return ""
            small.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            small.convert("RGB").save(buffer, "JPEG", quality=80)
            self.pictures[name] = buffer.getvalue()
        return name


def disagreed(values: np.ndarray, most: int = MOST) -> list[int]:
    """Columns of `values` [encoders, questions], most evenly split first; those that all answer alike are left out."""
    if len(values) < 2 or not values.size:
        return []
    spread = values.var(axis=0)
    order = np.argsort(-spread, kind="stable")[:most]
    return [int(place) for place in order if spread[place] > 0]


def questions(
    name: str,
    data: TaskData,
    answers: Mapping[str, Answer],
    predictions: Mapping[str, Sequence[Prediction]],
    most: int = MOST,
) -> TaskQuestions:
    """The most disagreed questions of a task, from each encoder's predictions (by its row id, best row first).

    A question's value is the gain of what was put first by our own answers, ties shared; what a submission says of
    its targets is not looked at. Questions that some encoder lacks are left out.
    """
    by_encoder = {row: {each.query: each for each in found} for row, found in predictions.items()}
    asked = [
        query
        for query in data.queries
        if query.key in answers and all(query.key in found for found in by_encoder.values())
    ]
    values = np.array([[_gain(found[q.key], answers[q.key]) for q in asked] for found in by_encoder.values()])
    made = TaskQuestions(name)
    for place in disagreed(values.reshape(len(by_encoder), len(asked)), most):
        query, column = asked[place], values[:, place]
        given = {row: found[query.key] for row, found in list(by_encoder.items())[:PICKS]}
        firsts = [made.part(_first(data.candidates[each.top[0][0]])) for each in given.values()]
        picks = [Pick(*each) for each in zip(given, firsts, map(float, column), strict=False)]
        right = [made.part(_first(data.candidates[key])) for key in sorted(answers[query.key].gains)[:3]]
        pool = len(answers[query.key].pool)
        question = Question(
            query.key, made.part(query.input), tuple(right), tuple(picks), float(column.sum()), len(column), pool
        )
        made.questions.append(question)
    return made


def _gain(prediction: Prediction, answer: Answer) -> float:
    best = prediction.top[0][1]
    tied = [key for key, score in prediction.top if score >= best - TIE]
    return sum(answer.gains.get(key, 0.0) for key in tied) / len(tied)


def _first(candidate: Candidate) -> Input:
    return candidate.inputs[0]
