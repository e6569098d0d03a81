"""Making an index of negatives from a source: balanced text negatives, or neighbours by an encoder's vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from datagen.negatives import index
from datagen.negatives.balance import exchanges
from datagen.negatives.blind import FOLDS
from datagen.negatives.mining import USUAL, Filter, neighbours
from datagen.negatives.refine import margins, refine
from datagen.negatives.types import KINDS, Caption, Exchange
from datagen.sources.types import Source, SourceItem
from fuselip.core.types import Scalar

# Statements are the positive of one image and the negative of the other: there is nothing to refine.
STATEMENTS = ("add_obj", "negate")


def text_negatives(
    captions: Sequence[Caption], kinds: Sequence[str] = KINDS, context: bool = True, refined: bool = True
) -> Iterator[Exchange]:
    """Exchanges of every kind, each kind on its own. `refined`: a trigram model's preference is evened out too.

    Kinds with fewer exchanges than can be cross-validated are left as they are.
    """
    for kind in kinds:
        found = list(exchanges(captions, kind, context))
        if refined and kind not in STATEMENTS and len(found) >= 2 * FOLDS:
            found = refine(found, margins(found))
        yield from found


def text_index(
    source: Source, path: Path, kinds: Sequence[str] = KINDS, context: bool = True, refined: bool = True
) -> Counter[str]:
    """Write the index of text negatives of a source's first captions; gives the number of exchanges by kind.

    Holds all items (without pixels) in memory.
    """
    held = {item.key: item for item in source.items() if isinstance(item, SourceItem) and item.captions}
    captions = [Caption(key, item.captions[0]) for key, item in held.items()]
    counts: Counter[str] = Counter()

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        for each in text_negatives(captions, kinds, context, refined):
            counts[each.kind] += 1
            yield each.first.key, each.to_json() | {"peer": index.peer(held[each.second.key], path.parent)}

    settings: dict[str, Scalar] = {
        "source": source.name,
        "kinds": ",".join(kinds),
        "context": context,
        "refined": refined,
    }
    index.write(path, rows(), {"mode": "text", **settings})
    return counts


def neighbour_index(
    items: Sequence[SourceItem],
    vectors: np.ndarray,
    path: Path,
    k: int = 3,
    rules: Filter = USUAL,
    encoder: str = "",
) -> Counter[str]:
    """Write the index of each item's nearest neighbours by `vectors` [N, D], any encoder's; gives what was dropped.

    Items have a caption each (the first is compared); those of one origin are no neighbours. `encoder` is recorded.
    Raises ValueError where vectors and items do not match.
    """
    if len(items) != len(vectors) or not all(item.captions for item in items):
        raise ValueError(f"{len(vectors)} vectors for {len(items)} items, each of which needs a caption")
    captions = [item.captions[0] for item in items]
    mined = neighbours(vectors, captions, k, [item.origin or item.key for item in items], rules)

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        for item, found in zip(items, mined.neighbours, strict=True):
            for other, cosine in found:
                yield item.key, {"similarity": round(cosine, 6), "peer": index.peer(items[other], path.parent)}

    index.write(path, rows(), {"mode": "neighbours", "k": k, "encoder": encoder, **asdict(rules)})
    return mined.dropped
