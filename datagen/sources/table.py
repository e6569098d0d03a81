"""A CSV file of images and captions: columns `path,caption`, as CC3M and CC12M are often kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from datagen.sources.inside import inside
from datagen.sources.quarantine import quarantine
from datagen.sources.types import Rejected, SourceItem
from fuselip.core import images
from fuselip.core.errors import UserError
from fuselip.core.plugins import did_you_mean

REQUIRED = ("path", "caption")


class Table:
    """Rows in order; neighbouring rows with the same path are one image with several captions.

    Paths are relative to `root` (default: the CSV's folder) and stay inside it. UTF-8, commas, header row.
    """

    def __init__(self, file: Path, root: Path | None = None) -> None:
        self.file = file
        self.root = file.parent if root is None else root
        self.name = f"csv:{file.name}"
        if not file.is_file():
            raise UserError(f"{file} is no file; check the spelling of --source and --data-root")

    def items(self) -> Iterator[SourceItem | Rejected]:
        return quarantine(self.name, self._items())

    def _items(self) -> Iterator[SourceItem | Rejected]:
        path, captions = "", list[str]()
        for row in self._rows():
            if isinstance(row, Rejected):
                yield row
                continue
            if captions and row[0] != path:
                yield self._item(path, captions)
                captions = []
            path = row[0]
            captions.append(row[1])
        if captions:
            yield self._item(path, captions)

    def _item(self, path: str, captions: list[str]) -> SourceItem | Rejected:
        try:
            image = images.ref_from_file(inside(self.root, path))
        except UserError as error:
            return Rejected(path or "(a row without a path)", str(error))
        absolute = Path(path).is_absolute()
        key = Path(path).resolve().relative_to(self.root.resolve()) if absolute else Path(path)
        return SourceItem(key.as_posix(), image, tuple(dict.fromkeys(caption for caption in captions if caption)))

    def _rows(self) -> Iterator[tuple[str, str] | Rejected]:
        """(path, caption) row by row; a row that does not parse is Rejected with its line number."""
        try:
            with open(self.file, encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(stream, strict=True)
                at = self._columns(next(reader, []))
                while True:
                    try:
                        row = next(reader)
                        if row:
                            yield row[at[0]].strip(), row[at[1]].strip()
                    except StopIteration:
                        return
                    except csv.Error as error:
                        yield Rejected(f"{self.file.name}, line {reader.line_num}", f"not valid CSV ({error})")
                    except IndexError:
                        yield Rejected(f"{self.file.name}, line {reader.line_num}", "fewer fields than the header row")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.file} is not UTF-8 ({error.reason}); save it as UTF-8") from error
        except (OSError, csv.Error) as error:
            raise UserError(f"{self.file} cannot be read ({error}); check that it is a CSV file") from error

    def _columns(self, header: list[str]) -> tuple[int, int]:
        names = [name.strip() for name in header]
        for name in REQUIRED:
            if name not in names:
                hint = "; it seems to be separated by tabs, use commas" if any("\t" in n for n in names) else ""
                hint = hint or did_you_mean(name, names)
                raise UserError(f"{self.file} has no column {name!r} (its header row is {','.join(names)!r}){hint}")
        return names.index("path"), names.index("caption")
