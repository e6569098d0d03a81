"""Files that are whole or absent: atomic writes, one writer at a time, append-only journals."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from fuselip.core.errors import UsageError, UserError


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears at `path`, complete and on disk, only if the block ends without an error.

    Raises UserError when the disk is full; whatever was at `path` before is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        fsync_folder(path.parent)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain(error, path) from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    with atomic(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Indented JSON with a final newline. NaN and infinity are refused: they are not JSON."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def append(path: Path, data: bytes) -> int:
    """Append whole or not at all (a torn tail is cut off again). Returns where the data begins."""
    with open(path, "ab") as stream:
        offset = stream.seek(0, os.SEEK_END)
        try:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            os.truncate(path, offset)
            raise
    return offset


def read_json(path: Path) -> Any:
    """Raises UserError that names the file where it is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); it was edited or is damaged") from error


def explain(error: OSError, path: Path) -> OSError | UserError:
    """A full disk or a refused write as a UserError; any other OSError as it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            f"no space left on the disk while writing {path}; free some and run the same command again: it resumes"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(f"cannot write {path}: {os.strerror(error.errno)}; choose another output folder")
    return error


@contextmanager
def lock(path: Path, busy: str) -> Iterator[None]:
    """Hold `path` as a lock file; UsageError(`busy`) when another live process holds it. A killed holder frees it."""
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(open(path, "a+b"))
        except OSError as error:
            raise explain(error, path) from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # closing the file, or dying, lets go of it
        except BlockingIOError:
            raise UsageError(busy) from None
        yield


def sha256_file(path: Path, chunk: int = 1 << 20) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(chunk):
            digest.update(block)
    return digest.hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def cache_home() -> Path:
    """Where caches live: $FUSELIP_CACHE, else $XDG_CACHE_HOME/fuselip, else ~/.cache/fuselip."""
    if configured := os.environ.get("FUSELIP_CACHE"):
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fuselip"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
