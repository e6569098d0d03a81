"""A folder of images, with its subfolders, in sorted order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from datagen.sources.quarantine import quarantine
from datagen.sources.types import Rejected, SourceItem
from fuselip.core import images
from fuselip.core.errors import UserError

_READ = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff")
# Files of these are rejected, each by name, rather than passed over in silence.
_NOT_READ = ("heic", "heif", "avif", "jp2", "svg", "psd")
EXTENSIONS = frozenset(f".{extension}" for extension in (*_READ, *_NOT_READ))


class Folder:
    """Files with an image's extension; what they are is decided by their bytes. Hidden files and folders are left out.

    Keys are paths relative to the folder, so that a copy of it elsewhere is the same source.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = f"folder:{root.resolve().name}"
        if not root.is_dir():
            kind = "is no folder" if root.exists() else "does not exist"
            raise UserError(f"{root} {kind}; check the spelling of --source and --data-root")

    def items(self) -> Iterator[SourceItem | Rejected]:
        return quarantine(self.name, self._items())

    def _items(self) -> Iterator[SourceItem | Rejected]:
        for path in self._walk(self.root):
            if isinstance(path, Rejected):
                yield path
                continue
            key = path.relative_to(self.root).as_posix()
            try:
                yield SourceItem(key, images.ref_from_file(path))
            except UserError as error:
                yield Rejected(key, str(error))

    def _walk(self, folder: Path) -> Iterator[Path | Rejected]:
        """Image files below `folder`. Links to folders are not followed: they can lead round in a circle."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            why = f"the folder {folder} cannot be listed ({error.strerror}); check its permissions"
            yield Rejected(folder.relative_to(self.root).as_posix(), why)
            return
        for entry in listed:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path))
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                yield Path(entry.path)
