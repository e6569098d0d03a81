"""The one check that every source's items pass: readable header, not seen before, and at least one usable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from datagen.sources.types import Rejected, SourceItem
from fuselip.core import images
from fuselip.core.errors import UserError


def quarantine(name: str, found: Iterable[SourceItem | Rejected]) -> Iterator[SourceItem | Rejected]:
    """Items whose header says image, each picture (by the hash of its bytes and operations) and each key once.

    Damage behind the header shows when the pixels are decoded; whoever does that counts it. Memory: a key and a 32-byte
    hash per item, for the duplicates. Raises UserError at the end if no item was usable.
    """
    pictures: set[bytes] = set()
    keys: set[str] = set()
    usable = 0
    reasons: list[str] = []
    for item in found:
        if isinstance(item, SourceItem):
            item = _checked(item, pictures, keys)
        if isinstance(item, Rejected):
            item = Rejected(_readable(item.item), _readable(item.reason))
        if isinstance(item, SourceItem):
            usable += 1
        elif len(reasons) < 3:
            reasons.append(f"{item.item}: {item.reason}")
        yield item
    if not usable:
        why = "; ".join(reasons) or "it holds no image files"
        raise UserError(f"source {name!r} has no usable image ({why}); choose another source or mend these files")


def _checked(item: SourceItem, pictures: set[bytes], keys: set[str]) -> SourceItem | Rejected:
    if item.key != _readable(item.key):
        return Rejected(item.key, "its name is not UTF-8; rename it")
    if item.key in keys:
        return Rejected(item.key, "its key occurs earlier in the source")
    identity = bytes.fromhex(item.image.key)
    if identity in pictures:
        return Rejected(item.key, "the same picture (identical bytes) occurs earlier in the source")
    try:
        images.measure(item.image)
    except UserError as error:
        return Rejected(item.key, str(error))
    keys.add(item.key)
    pictures.add(identity)
    return item if item.origin else replace(item, origin=item.key)


def _readable(text: str) -> str:
    """Bytes of a file name that are no UTF-8 (lone surrogates in Python) written out, so that it can be recorded."""
    return text.encode("utf-8", "backslashreplace").decode()
