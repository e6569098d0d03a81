"""Hugging Face data sets with an image column: parquet files read in place, or a hub id streamed by `datasets`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datagen.sources import parquet_rows
from datagen.sources.quarantine import quarantine
from datagen.sources.types import Question, Rejected, SourceItem
from datagen.sources.usable import usable
from fuselip.core import images
from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean
from fuselip.core.types import EncodedBytes, ImageRef

IMAGES = ("image", "jpg", "jpeg", "png", "webp", "img")
CAPTIONS = ("caption", "captions", "text", "txt", "sentence", "sentences")
QUESTION, ANSWER = "question", "answer"
# A parquet file says nothing of its licence; the set's card does.
CREDIT = "see the data set's card"


class ParquetSet:
    """Parquet files with an image column, read in place by pyarrow alone.

    `image` and `caption` name the columns ("": the first that looks like one; a caption is not needed). Columns
    `question` and `answer` become a question. Keys are `file name/row number`.
    """

    def __init__(self, pattern: str, root: Path | None = None, image: str = "", caption: str = "") -> None:
        self.files = parquet_rows.expand(pattern, root or Path())
        self.name = f"parquet:{Path(pattern).name}"
        first = parquet_rows.schema(self.files[0])
        pictures = [field.name for field in first if parquet_rows.image_column(field)]
        self.image = choose(self.name, "image", image, pictures, IMAGES, pictures[:1])
        self.caption = choose(self.name, "caption", caption, first.names, CAPTIONS, [""])
        named = [self.image, self.caption, *(name for name in (QUESTION, ANSWER) if name in first.names)]
        self._columns = [name for name in dict.fromkeys(named) if name]
        for path in self.files:
            parquet_rows.need_columns(path, self._columns)

    def items(self) -> Iterator[SourceItem | Rejected]:
        """A picture comes once, but where rows are questions it may come again."""
        check = usable if {QUESTION, ANSWER} <= set(self._columns) else quarantine
        return check(self.name, self._items())

    def _items(self) -> Iterator[SourceItem | Rejected]:
        for path in self.files:
            for row in parquet_rows.rows(path, self._columns):
                key = f"{path.name}/{row.number}"
                try:
                    ref = parquet_rows.image_ref(row, self.image)
                    images.measure(ref)  # its header, or UserError
                    yield item_of(key, ref, row.values, self.caption)
                except UserError as error:
                    yield Rejected(key, str(error))


class HubSet:
    """A data set of the hub (or whatever `datasets.load_dataset` opens), streamed: nothing is stored but what is made.

    Images are held in memory while they are used, so it cannot be the source of a virtual set. Give `revision` (a
    commit) for a set that stays what it is. Code that comes with a data set is never run.
    """

    def __init__(
        self,
        repo: str,
        split: str = "train",
        config: str = "",
        revision: str = "",
        image: str = "",
        caption: str = "",
        data_files: str = "",
    ) -> None:
        """Raises UserError where `datasets` is not installed, the set cannot be opened, or it has no images."""
        self.name = f"hf:{repo}:{split}" + (f"@{revision}" if revision else "")
        self._where = {"path": repo, "name": config or None, "split": split, "revision": revision or None}
        self._where["data_files"] = data_files or None
        features = self._open().features
        if not features:
            raise UserError(f"{self.name} does not say which columns it has; download it and use parquet: or wds:")
        pictures = [name for name, kind in features.items() if _holds_images(kind)]
        self.image = choose(self.name, "image", image, pictures, IMAGES, pictures[:1])
        self.caption = choose(self.name, "caption", caption, list(features), CAPTIONS, [""])

    def items(self) -> Iterator[SourceItem | Rejected]:
        return quarantine(self.name, self._items())

    def _items(self) -> Iterator[SourceItem | Rejected]:
        datasets = _datasets()
        rows = iter(self._open().cast_column(self.image, datasets.Image(decode=False)))
        number = 0
        while True:
            key = f"{number:09d}"
            try:
                values = next(rows)
            except StopIteration:
                return
            except Exception as error:  # network, damaged shards: many kinds, and the stream cannot go on
                raise UserError(f"{self.name} broke off at row {number} ({error}); run the command again") from error
            try:
                yield item_of(key, _in_memory(values[self.image]), values, self.caption)
            except UserError as error:
                yield Rejected(key, str(error))
            number += 1

    def _open(self) -> Any:
        datasets = _datasets()
        try:
            return datasets.load_dataset(streaming=True, **self._where)
        except Exception as error:  # the library raises many kinds for an unknown name, split, or no network
            raise UserError(f"{self.name} cannot be opened ({error}); check name, split and network") from error


def item_of(key: str, image: ImageRef, values: Mapping[str, Any], caption: str) -> SourceItem:
    """A row as an item: captions are a text or a list of them."""
    found = values.get(caption) if caption else None
    listed = found if isinstance(found, list | tuple) else [found]
    captions = dict.fromkeys(text.strip() for text in listed if isinstance(text, str) and text.strip())
    question, answer = (str(values.get(name) or "").strip() for name in (QUESTION, ANSWER))
    asked = (Question(question, answer),) if question and answer else ()
    return SourceItem(key, image, tuple(captions), credit=CREDIT, questions=asked)


def choose(name: str, what: str, wanted: str, known: list[str], usual: tuple[str, ...], otherwise: list[str]) -> str:
    """The column asked for, or the first usual one, or the first of `otherwise`. UserError where there is none."""
    if wanted:
        if wanted not in known:
            hint = did_you_mean(wanted, known)
            raise UsageError(f"{name} has no {what} column {wanted!r}{hint}; it has {', '.join(known) or 'none'}")
        return wanted
    found = [column for column in usual if column in known] or otherwise
    if not found:
        raise UserError(f"{name} has no column of {what}s; it is no set of images, or name the column")
    return found[0]


def _holds_images(feature: Any) -> bool:
    """Whether a column is declared as images, or has their form without being declared so."""
    return type(feature).__name__ == "Image" or (isinstance(feature, dict) and {"bytes", "path"} <= set(feature))


def _in_memory(value: Any) -> ImageRef:
    data = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(data, bytes):
        raise UserError("its image does not come with its bytes")
    parquet_rows.check_bytes(data, "its row")
    return ImageRef(hashlib.sha256(data).hexdigest(), (), EncodedBytes(data))


def _datasets() -> Any:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise UserError(
            "streaming from the hub needs the package datasets; run `pip install 'fuselip[datagen]'`, or download the "
            "parquet files and use parquet:PATTERN"
        ) from error
    return datasets
