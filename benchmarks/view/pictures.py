"""The texts of all queries, and pictures of some: questions that were answered wrong and right in equal parts."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.types import TaskData
from benchmarks.view.columns import Columns, Words
from fuselip.core.errors import UserError
from fuselip.core.types import ImageRef

SIDE = 112


@dataclass
class Album:
    """Thumbnails of distinct pictures as data URIs, at most `most`; `failed` says why some are absent."""

    most: int
    uris: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        return len(self.uris) >= self.most

    def number(self, image: ImageRef | None) -> int:
        """Of the picture's thumbnail; -1 where there is none, none left, or it cannot be read."""
        if image is None:
            return -1
        found = self._numbers.get(image.key)
        if found is None:
            found = -1 if self.full else self._make(image)
            self._numbers[image.key] = found
        return found

    def _make(self, image: ImageRef) -> int:
        try:
            picture = image.load()
        except UserError as error:
            self.failed.append(str(error))
            return -1
        picture.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=75)
        self.uris.append(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}")
        return len(self.uris) - 1


@dataclass
class Shown:
    """What a task's rows show beside numbers. `texts` are one a query (a number in the words), -1 where unknown."""

    texts: list[int]
    query_pictures: dict[int, int]
    candidate_pictures: dict[int, int]
    candidate_texts: dict[int, int]


def illustrate(data: TaskData, runs: Sequence[Columns], words: Words, album: Album, share: int) -> Shown:
    """Pictures for up to `share` of the album's places, of queries right and wrong by turns (in the first run)."""
    first = runs[0]
    by_key = {query.key: query for query in data.queries}
    numbers = {text: number for number, text in enumerate(words.texts)}
    known = [by_key.get(key) for key in first.queries]
    shown = Shown([words.number(query.input.text) if query else -1 for query in known], {}, {}, {})
    for key, candidate in data.candidates.items():
        text = " / ".join(dict.fromkeys(part.text for part in candidate.inputs[:3] if part.text))
        if key in numbers and text:
            shown.candidate_texts[numbers[key]] = words.number(text)
    limit = len(album.uris) + share
    for row in _by_turns(first.values):
        query = known[row]
        if query is None or album.full or len(album.uris) >= limit:
            if album.full or len(album.uris) >= limit:
                break
            continue
        shown.query_pictures[row] = album.number(query.input.image)
        places = [first.answers[row], *(pick for run in runs for pick in run.picks[row])]
        for place in dict.fromkeys(place for place in places if place >= 0):
            found = data.candidates.get(words.texts[place])
            if found is not None and place not in shown.candidate_pictures:
                shown.candidate_pictures[place] = album.number(found.inputs[0].image)
    return shown


def _by_turns(values: Sequence[float]) -> list[int]:
    """Row numbers: one wrong, one right, one wrong, ... spread over the whole task."""
    wrong = [row for row, value in enumerate(values) if not value >= 0.5]
    right = [row for row, value in enumerate(values) if value >= 0.5]
    order = []
    for kind in (wrong, right):
        step = max(1, len(kind) // 200)
        order.append([*kind[::step], *(row for place, row in enumerate(kind) if place % step)])
    turns = [row for pair in zip(*order, strict=False) for row in pair]
    rest = order[0][len(order[1]) :] + order[1][len(order[0]) :]
    return turns + rest
