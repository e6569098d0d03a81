"""The bundled photos: which, in how many tiles, and that these share nothing."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datagen.sources.photos import MIN_CONTRAST, PHOTOS, Photos, grid
from datagen.sources.types import SourceItem
from tests.datagen.test_sources import bad, good


def test_photos_whole_and_in_tiles() -> None:
    items = good(Photos())
    whole = [item for item in items if not item.image.operations]
    tiles = [item for item in items if item.image.operations]
    assert [item.key for item in whole] == [photo.name for photo in PHOTOS] == [item.key for item in items[:10]]
    assert len(whole) == 10
    assert len({item.image.source for item in whole}) == 10
    uniform = Counter(name.partition("/")[0] for name in bad(Photos()))
    cells = {"astronaut": 4, "chelsea": 2, "coffee": 6, "rocket": 6, "hubble_deep_field": 9, "retina": 9, "ihc": 4}
    cells |= {"motorcycle": 6, "china": 6, "flower": 6}
    assert Counter(item.origin for item in tiles) + uniform == cells
    assert all("almost uniform" in reason for reason in bad(Photos()).values())
    assert all(item.credit for item in items)
    assert {item.origin for item in tiles} <= {item.key for item in whole}


def test_tiles_do_not_overlap_and_show_something() -> None:
    by_origin: dict[str, list[tuple[int, int, int, int]]] = {}
    for item in good(Photos()):
        for operation in item.image.operations:
            p = dict(operation.params)
            box = (int(p["left"]), int(p["top"]), int(p["right"]), int(p["bottom"]))
            by_origin.setdefault(item.origin, []).append(box)
            image = item.image.load()
            assert image.size == (box[2] - box[0], box[3] - box[1])
            assert min(image.size) >= 200
            assert np.asarray(image.convert("L")).std() >= MIN_CONTRAST
    for boxes in by_origin.values():
        for a, b in combinations(boxes, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@given(st.integers(1, 5000))
def test_grid_covers_a_side_without_overlap(length: int) -> None:
    parts = grid(length)
    assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == length
    assert 1 <= len(parts) <= 3
    assert len(parts) == 1 or min(end - start for start, end in parts) >= 200


def test_quick_photos_are_five_whole_ones() -> None:
    items = list(Photos(quick=True).items())
    assert [item.key for item in items if isinstance(item, SourceItem)] == [
        "astronaut",
        "chelsea",
        "coffee",
        "rocket",
        "motorcycle",
    ]
    assert len(items) == 5
