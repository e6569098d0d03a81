"""HQ-Edit: two images a row with the edit between them, the way back, and a caption of each.

Format (`UCSC-VLAA/HQ-Edit`): parquet with input_image, output_image, edit, inverse_edit, input, output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datagen.sources import parquet_rows
from datagen.sources.parquet_rows import Row, image_ref
from datagen.sources.types import Edit, Rejected, SourceItem
from datagen.sources.usable import usable
from fuselip.core import images
from fuselip.core.errors import UserError

COLUMNS = ("input_image", "output_image", "edit", "inverse_edit", "input", "output")
CREDIT = "HQ-Edit (UCSC-VLAA); see its data card for the licence"


class HQEdit:
    """Rows in order of file and row: the input image with its caption, and one edit to the output image.

    `pattern` is a parquet file, a pattern of them or a folder. Keys are `file name/row number`.
    """

    def __init__(self, pattern: str, root: Path | None = None) -> None:
        self.files = parquet_rows.expand(pattern, root or Path())
        self.name = f"hq-edit:{Path(pattern).name}"
        for path in self.files:
            parquet_rows.need_columns(path, COLUMNS)

    def items(self) -> Iterator[SourceItem | Rejected]:
        return usable(self.name, self._items())

    def _items(self) -> Iterator[SourceItem | Rejected]:
        for path in self.files:
            for row in parquet_rows.rows(path, COLUMNS):
                key = f"{path.name}/{row.number}"
                try:
                    yield _item(key, row)
                except UserError as error:
                    yield Rejected(key, str(error))


def _item(key: str, row: Row) -> SourceItem:
    before, after = image_ref(row, "input_image"), image_ref(row, "output_image")
    for ref in (before, after):
        images.measure(ref)  # its header, or UserError
    edit, inverse, caption, caption_after = (str(row.values[name] or "").strip() for name in COLUMNS[2:])
    if not edit:
        raise UserError("its edit is empty")
    captions_after = (caption_after,) if caption_after else ()
    captions = (caption,) if caption else ()
    return SourceItem(key, before, captions, credit=CREDIT, edits=(Edit(edit, after, inverse, captions_after),))
