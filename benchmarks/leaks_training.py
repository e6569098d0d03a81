"""The training side, one item at a time: a built set, a mix of sets, or any source of pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datagen import items, output, virtual
from datagen.mix import index as mixes
from datagen.sources.registry import open_source
from datagen.sources.types import Rejected, Source, SourceItem
from fuselip.core.errors import UserError
from fuselip.core.shards import Sample, open_sets
from fuselip.core.types import ImageRef


@dataclass(frozen=True)
class Trained:
    """One thing that is trained on: its pictures and texts, decoded by nobody yet."""

    key: str
    images: tuple[ImageRef, ...]
    texts: tuple[str, ...]


def training(spec: str, root: str | None = None) -> Iterator[Trained | Rejected]:
    """Everything in `spec`: a set's folder (or its index), a mix's index, or a source (folder:DIR, csv:FILE, ...).

    Of a virtual set the source's pictures and texts are taken. `root` is where relative file names start. Raises
    UserError where it cannot be read.
    """
    path = Path(spec).expanduser()
    if (folder := _set_folder(path)) is not None:
        return _set(folder, Path(root) if root else None)
    if path.suffix == ".parquet" and path.exists():
        return _mix(path, root)
    return _source(open_source(spec, root))


def _set_folder(path: Path) -> Path | None:
    """The built set that a path means: its folder, or a file or folder inside it."""
    if not path.exists():
        return None
    return next((each for each in (path, *path.absolute().parents[:2]) if (each / "build.json").is_file()), None)


def _mix(path: Path, root: str | None) -> Iterator[Trained | Rejected]:
    found = mixes.read(path)
    for name, entry in found.sets.items():
        start = root or entry.data_root
        for each in _set(path.absolute().parent / entry.folder, path.absolute().parent / start if start else None):
            yield Trained(f"{name}/{each.key}", each.images, each.texts) if isinstance(each, Trained) else each


def _set(folder: Path, root: Path | None) -> Iterator[Trained | Rejected]:
    if output.read_config(folder).virtual:
        for row in virtual.read(folder):
            try:
                yield _of_item(items.from_json(json.loads(row["item"]), root))
            except (UserError, json.JSONDecodeError) as error:
                yield Rejected(row["key"], str(error))
        return
    for name, shards in open_sets(folder).items():
        for sample in shards:
            yield _of_sample(name, sample)


def _of_sample(name: str, sample: Sample) -> Trained:
    pictures = tuple(sample.image(number) for number in range(len(sample.images)))
    texts = (pair[f"{side}_text"] for pair in sample.record["pairs"] for side in ("left", "right"))
    return Trained(f"{name}/{sample.key}", pictures, tuple(dict.fromkeys(text for text in texts if text)))


def _source(source: Source) -> Iterator[Trained | Rejected]:
    for item in source.items():
        yield item if isinstance(item, Rejected) else _of_item(item)


def _of_item(item: SourceItem) -> Trained:
    texts = [*item.captions, *(region.phrase for region in item.regions)]
    texts += [text for each in item.questions for text in (each.question, each.answer)]
    texts += [text for edit in item.edits for text in (edit.instruction, edit.inverse, *edit.captions)]
    return Trained(item.key, (item.image, *(edit.image for edit in item.edits)), tuple(text for text in texts if text))
