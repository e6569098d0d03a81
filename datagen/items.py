"""Source items as JSON, and which of them a shard was made of."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.sources.inside import inside
from datagen.sources.types import Edit, Question, Region, Rejected, SourceItem
from fuselip.core.errors import UserError
from fuselip.core.provenance import redact
from fuselip.core.types import EncodedBytes, FileBytes, ImageRef, Operation, ParquetCell, PixelBytes

# Codes by what the messages of our sources and of fuselip.core.images say; the first that fits.
_CODES = (
    ("occurs earlier", "duplicate"),
    ("almost uniform", "uniform"),
    ("not valid CSV", "bad_row"),
    ("fewer fields", "bad_row"),
    ("caption cannot be read", "bad_row"),
    ("too large", "oversized"),
    ("is over ", "oversized"),
    ("does not exist", "missing"),
    ("is gone since", "missing"),
    ("is not an image", "not_image"),
    ("is empty", "empty"),
    ("has changed since", "changed"),
    ("damaged", "damaged"),
    ("cut short", "damaged"),
    ("among its files", "no_image"),
    ("cannot be ", "unreadable"),
)
BENIGN = frozenset({"duplicate", "uniform"})


@dataclass(frozen=True)
class Placed:
    """What a source yielded, with its number in the source: rejected items keep their place, so plans do not shift."""

    position: int
    item: SourceItem | Rejected


@dataclass(frozen=True)
class Reject:
    """A source item, or a group of it, that is not in the set. `error` is False where a recipe left it out."""

    position: int
    item: str
    reason: str
    detail: str
    error: bool


def code_of(message: str) -> str:
    """A short fixed code for a message about a bad item: what `retry` takes and what is counted."""
    return next((code for part, code in _CODES if part in message), "other")


def reject(placed: Placed, message: str) -> Reject:
    """A bad item, with paths of this machine taken out of the message."""
    name = placed.item.key if isinstance(placed.item, SourceItem) else placed.item.item
    code = code_of(message)
    return Reject(placed.position, name, code, _tidy(message, placed.item, name), code not in BENIGN)


def _tidy(message: str, item: SourceItem | Rejected, name: str) -> str:
    locator = item.image.locator if isinstance(item, SourceItem) else None
    if isinstance(locator, FileBytes | ParquetCell):
        message = message.replace(locator.path, name)
    message = re.sub(r"(?<!\w)\S*/" + re.escape(name), lambda _: name, message)
    return redact(message)


def digest(chunk: Iterable[Placed]) -> str:
    """Identity of the usable items of a shard: a resumed run checks that the source still is what it was."""
    found = hashlib.sha256()
    for placed in chunk:
        if isinstance(placed.item, SourceItem):
            found.update(f"{placed.position}\t{placed.item.key}\t{placed.item.image.key}\n".encode())
    return found.hexdigest()


def to_json(item: SourceItem, root: Path | None) -> dict[str, Any]:
    """All of an item. File names below `root` are written relative to it."""
    value: dict[str, Any] = {"key": item.key, "image": _ref(item.image, root)}
    value |= {"captions": list(item.captions), "origin": item.origin, "credit": item.credit}
    value["regions"] = [[each.phrase, list(each.box), each.label, *_own(each.image, root)] for each in item.regions]
    value["questions"] = [[each.question, each.answer, each.kind, *_own(each.image, root)] for each in item.questions]
    value["edits"] = [
        [edit.instruction, _ref(edit.image, root), edit.inverse, list(edit.captions), edit.kind] for edit in item.edits
    ]
    return value


def from_json(value: Any, root: Path | None) -> SourceItem:
    """The item again. File names stay inside `root` where one is given. UserError for what is no item's JSON."""
    try:
        return SourceItem(
            key=str(value["key"]),
            image=_image(value["image"], root),
            captions=tuple(map(str, value["captions"])),
            origin=str(value["origin"]),
            credit=str(value["credit"]),
            regions=tuple(
                Region(str(p), _box(box), str(label), *(_image(image, root) for image in own[:1]))
                for p, box, label, *own in value["regions"]
            ),
            questions=tuple(
                Question(str(q), str(a), str(kind), *(_image(image, root) for image in own[:1]))
                for q, a, kind, *own in value["questions"]
            ),
            edits=tuple(
                Edit(str(text), _image(image, root), str(inverse), tuple(map(str, captions)), str(kind))
                for text, image, inverse, captions, kind in value["edits"]
            ),
        )
    except UserError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"a row's source item is not as it should be ({error!r}); make the set again") from error


def _own(image: ImageRef | None, root: Path | None) -> list[dict[str, Any]]:
    """An entry's own image, where it has one."""
    return [] if image is None else [_ref(image, root)]


def _ref(ref: ImageRef, root: Path | None) -> dict[str, Any]:
    if isinstance(ref.locator, EncodedBytes | PixelBytes):
        raise UserError("an image held in memory cannot stand in a virtual set; save it as a file first")
    value: dict[str, Any] = {"source": ref.source, "operations": [each.to_json() for each in ref.operations]}
    if isinstance(ref.locator, ParquetCell):
        cell = ref.locator
        value |= {"path": _relative(cell.path, root), "cell": [cell.row_group, cell.row, cell.column]}
    elif ref.locator is not None:
        value |= {"path": _relative(ref.locator.path, root), "offset": ref.locator.offset, "size": ref.locator.size}
    return value


def _relative(path: str, root: Path | None) -> str:
    absolute = os.path.abspath(path)
    base = os.path.abspath(root) if root is not None else ""
    return os.path.relpath(absolute, base) if base and Path(absolute).is_relative_to(base) else absolute


def _image(value: Mapping[str, Any], root: Path | None) -> ImageRef:
    operations = tuple(
        Operation(str(name), int(version), tuple((str(key), each) for key, each in params))
        for name, version, params in value["operations"]
    )
    if "path" not in value:
        return ImageRef(str(value["source"]), operations)
    path = str(value["path"])
    if root is not None or not os.path.isabs(path):
        path = str(inside(root or Path(), path))
    if "cell" in value:
        row_group, row, column = value["cell"]
        return ImageRef(str(value["source"]), operations, ParquetCell(path, int(row_group), int(row), str(column)))
    size = None if value["size"] is None else int(value["size"])
    return ImageRef(str(value["source"]), operations, FileBytes(path, int(value["offset"]), size))


def _box(values: Any) -> tuple[int, int, int, int]:
    left, top, right, bottom = map(int, values)
    return left, top, right, bottom
