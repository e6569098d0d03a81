"""Folders that are whole or absent, and bundles copied into them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fuselip.core.errors import UsageError, UserError
from fuselip.core.files import atomic, explain, fsync_folder, sha256_file


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder that becomes `out`, readable to its owner alone, only if the block ends without an error.

    What a killed process left is deleted by the next one. Raises UsageError where `out` is there already.
    """
    if out.exists():
        raise UsageError(f"{out} is there already; name a new folder")
    part = out.parent / f".{out.name}.part"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(exist_ok=True, mode=0o700)
        handle = os.open(part, os.O_RDONLY)
    except OSError as error:
        raise explain(error, out) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with its process
        except BlockingIOError:
            raise UsageError(f"another process is writing {out}; wait for it, or name another folder") from None
        _clear(part)
        try:
            yield part
            fsync_folder(part)
            os.rename(part, out)
            fsync_folder(out.parent)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            raise (explain(error, out) if isinstance(error, OSError) else error) from error
    finally:
        os.close(handle)


def copy_bundles(source: Path, target: Path, hashes: Sequence[str]) -> None:
    """From one folder's `bundles` to another's. Raises UserError for one that is missing or not what its name says."""
    (target / "bundles").mkdir(exist_ok=True, mode=0o700)
    for sha256 in hashes:
        name = f"{sha256}.zip"
        held, wanted = source / "bundles" / name, target / "bundles" / name
        if Path(name).name != name or not held.is_file() or sha256_file(held) != sha256:
            raise UserError(f"{held} is missing or is not what its name says; bring it back from a backup")
        with atomic(wanted) as stream, open(held, "rb") as reader:
            shutil.copyfileobj(reader, stream, 1 << 20)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
