"""The folder of public data sets (--data): annotation files read and checked, pictures referenced, never trusted."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.types import DataFile, TaskContext, TaskSpec
from datagen.sources.inside import inside
from fuselip.core.errors import UserError
from fuselip.core.files import cache_home
from fuselip.core.types import ImageRef, content_hash

MAX_ANNOTATION_BYTES = 2 << 30


def data_home(context: TaskContext) -> Path:
    """--data, else a folder `data` in the cache of fuselip, which `fuselip-bench fetch` fills."""
    return Path(context.data) if context.data else cache_home() / "data"


class DataFolder:
    """What a task reads. Every error names the file, the task, and how to get it."""

    def __init__(self, spec: TaskSpec, context: TaskContext) -> None:
        self.spec, self.root, self.blind = spec, data_home(context), context.blind

    def path(self, name: str) -> Path:
        """Where the file or folder `name` is: at its place under the root, or right in it.

        The second lets --data name the folder of one set. Raises UserError where there is neither.
        """
        for place in (name, name.partition("/")[2]):
            if place and (found := inside(self.root, place)).exists():
                return found
        raise UserError(
            f"{self.spec.name} needs {self.root / name}, which is not there; {self._mend(name)} "
            f"(`fuselip-bench doctor {self.spec.name}` lists all it needs)"
        )

    def json(self, name: str) -> Any:
        """The content of a JSON file. UserError where it is missing, too large, or no JSON."""
        path = self.path(name)
        try:
            if path.stat().st_size > MAX_ANNOTATION_BYTES:
                raise UserError(f"{path} is over {MAX_ANNOTATION_BYTES >> 30} GiB: no annotation file is")
            return json.loads(path.read_text("utf-8"))
        except (ValueError, RecursionError, OSError) as error:
            raise UserError(f"{path} is not readable JSON ({error}); {self._mend(name)}") from error

    def csv(self, name: str, columns: Sequence[str]) -> Iterator[dict[str, str]]:
        """The rows of a CSV file with a header that holds at least `columns`."""
        path = self.path(name)
        try:
            with open(path, encoding="utf-8", newline="") as stream:
                reader = csv.DictReader(stream)
                lacking = [column for column in columns if column not in (reader.fieldnames or ())]
                if lacking:
                    raise UserError(f"{path} has no column {', '.join(lacking)} (it has {reader.fieldnames})")
                yield from reader
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} is no CSV file in UTF-8 ({error}); {self._mend(name)}") from error

    def image(self, name: str) -> ImageRef:
        """The picture at `name` under the root. When only annotations are read, a reference that cannot be loaded.

        Raises UserError for a name that leads out of the root or a picture that is not there.
        """
        if self.blind:
            return ImageRef(content_hash(["not read", name]))
        return ImageRef.from_file(self.path(name))

    def require(self, row: Any, kinds: dict[str, type | tuple[type, ...]], where: str) -> Any:
        """`row` where it is an object with these keys of these kinds; else UserError naming the file and entry."""
        if not isinstance(row, dict):
            raise UserError(f"{where}: an object is needed here, not {type(row).__name__}")
        for key, kind in kinds.items():
            if key not in row or not isinstance(row[key], kind) or (kind is int and isinstance(row[key], bool)):
                raise UserError(f"{where}: {key!r} is missing or of another kind than the publisher's format has")
        return row

    def count(self, what: str, found: int) -> None:
        """UserError where the publisher's count of `what` is known and is another one: the files are not those."""
        known = self.spec.counts.get(what)
        if known is not None and known != found:
            raise UserError(
                f"{self.spec.name}: {found} {what} where the publisher's files have {known}; "
                f"the files under {self.root} are not complete or of another version"
            )

    def _mend(self, name: str) -> str:
        file = next((file for file in self.spec.files if covers(file, name)), None)
        if file is None:
            return f"copy it there, or give another --data than {self.root}"
        if file.url and not file.how:
            return f"`fuselip-bench fetch {self.spec.name}` gets it from {file.url}"
        return file.how or "copy it there from its publisher"


def covers(file: DataFile, name: str) -> bool:
    return name == file.path or name.startswith(f"{file.path.rstrip('/')}/")
