"""The check of sources in which a picture may come again: each key once, and at least one usable item.

`quarantine` is for sources of pictures; here an item is a row (an edit, a group of regions) that names its pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from datagen.sources.types import Rejected, SourceItem
from fuselip.core.errors import UserError


def usable(name: str, found: Iterable[SourceItem | Rejected]) -> Iterator[SourceItem | Rejected]:
    """Raises UserError at the end if no item was usable."""
    keys: set[str] = set()
    reasons: list[str] = []
    for item in found:
        if isinstance(item, SourceItem) and item.key in keys:
            item = Rejected(item.key, "its key occurs earlier in the source")
        if isinstance(item, SourceItem):
            keys.add(item.key)
            yield item if item.origin else replace(item, origin=item.key)
            continue
        if len(reasons) < 3:
            reasons.append(f"{item.item}: {item.reason}")
        yield item
    if not keys:
        why = "; ".join(reasons) or "it holds no rows"
        raise UserError(f"source {name!r} has no usable item ({why}); choose another source or mend these files")
