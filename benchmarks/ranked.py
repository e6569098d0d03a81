"""From embeddings to predictions: the vectors of one task looked up and ranked, for any variants of its questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import probe
from benchmarks.encoders import Adapted
from benchmarks.quantise import Quantiser
from benchmarks.score import rank
from benchmarks.types import Prediction, Query
from benchmarks.vectors import collapsed, pool_vectors
from fuselip.core.embed import Embeddings, Item, as_seen_by

if TYPE_CHECKING:
    from benchmarks.session import Loaded


Shrinker = Callable[[np.ndarray], Quantiser]


def ranked(embedder: Adapted, part: Loaded, embeddings: Embeddings) -> dict[str, list[Prediction]]:
    """The predictions of each of `part.variants`, whose items must all be among the embeddings."""
    return Vectors(embeddings, embedder, part).predictions()


class Vectors:
    """Looks up the vectors of one task, and remembers which items it used."""

    def __init__(self, embeddings: Embeddings, embedder: Adapted, part: Loaded, shrink: Shrinker | None = None) -> None:
        """`shrink` makes, of the candidates' vectors, what is scored of all vectors (`quantise.shrinker`)."""
        self._embeddings, self._info, self._part, self._shrink = embeddings, embedder.info, part, shrink
        self.used: set[str] = set()
        self.shrunk: Quantiser | None = None

    def predictions(self) -> dict[str, list[Prediction]]:
        """One list for each variant of the questions."""
        if self._part.is_probe:
            return self._probed()
        contents, gallery = self.gallery()
        if self._shrink:
            self.shrunk = self._shrink(gallery)
            gallery = self.shrunk(gallery)
        return {
            variant: rank(queries, self._part.data, self._scored(queries), contents, gallery, encoder=self._info.label)
            for variant, queries in self._part.variants.items()
        }

    def _scored(self, queries: Sequence[Query]) -> np.ndarray:
        found = self.queries(queries)
        return self.shrunk(found) if self.shrunk else found

    def _probed(self) -> dict[str, list[Prediction]]:
        """A classifier is fitted once on the training split, and asked every variant of the questions."""
        learned = self._embeddings.stack([self._item(item) for item in self._part.training()])
        if self._shrink:
            self.shrunk = self._shrink(learned)
            learned = self.shrunk(learned)
        return {
            variant: probe.predictions(
                replace(self._part.data, queries=tuple(queries)),
                learned,
                self._scored(queries),
                encoder=self._info.label,
            )
            for variant, queries in self._part.variants.items()
        }

    def _item(self, item: Item) -> Item:
        item = as_seen_by(self._info, item)
        self.used.update(self._embeddings.keys(item))
        return item

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """float32 [Q, D]."""
        return self._embeddings.stack([self._item(self._part.query(query)) for query in queries])

    def collapsed(self) -> bool:
        """Whether all that was asked for looks the same to the encoder."""
        vectors = self.queries(self._part.data.queries) if self._part.is_probe else self.gallery()[1]
        return collapsed(vectors)

    def gallery(self) -> tuple[list[str], np.ndarray]:
        """The distinct contents of the candidates, sorted, and their pooled vectors, float32 [G, D]."""
        distinct = {candidate.content: candidate for candidate in self._part.data.candidates.values()}
        contents = sorted(distinct)
        groups = [[self._item(self._part.candidate(part)) for part in distinct[content].inputs] for content in contents]
        return contents, pool_vectors([self._embeddings.stack(group) for group in groups])

    def by_modality(self) -> Mapping[str, np.ndarray]:
        """The vectors of the distinct inputs of queries and candidates: "image", "text", "image+text" to [N, D]."""
        items = {item.key: item for item in (as_seen_by(self._info, each) for each in self._part.items())}
        kinds = sorted({item.input.modality for item in items.values()})
        return {
            kind: self._embeddings.stack([item for item in items.values() if item.input.modality == kind])
            for kind in kinds
        }

    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """The questions' vectors beside those of their answers, float32 [P, D] each; one row per answer."""
        contents, gallery = self.gallery()
        row_of = {content: row for row, content in enumerate(contents)}
        asked = self.queries(self._part.data.queries)
        pairs = [
            (row, row_of[self._part.data.candidates[key].content])
            for row, query in enumerate(self._part.data.queries)
            for key, grade in query.relevance.items()
            if grade > 0
        ]
        rows, targets = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
        return asked[rows], gallery[targets]
