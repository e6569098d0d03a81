"""Archives from the web unpacked: only plain files, only inside the folder, and no more than was reckoned with.

Of a zip, .tar or .tar.gz one member (a file, or a folder with all in it) or all of it goes to one place, which appears
whole or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from fuselip.core import archive
from fuselip.core.errors import UserError
from fuselip.core.files import explain, fsync_folder
from fuselip.core.types import content_hash

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
BLOCK = 1 << 20
MAX_RATIO = 200
"""A zip may hold so many bytes for each of its own: deflate reaches 1000 only for what says nothing."""

MAX_FILES = 5_000_000
FREE_BYTES = 1 << 20
"""Below this size no ratio is asked after: small files of blanks shrink to nothing."""


class Readable(Protocol):
    def read(self, count: int, /) -> bytes: ...


@dataclass(frozen=True)
class Unpacked:
    """What was written: files, their bytes, and a hash of it: the file's own sha256, or `tree_hash` of a folder's."""

    files: int
    bytes: int
    sha256: str


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def unpack(source: Path, member: str, target: Path, max_bytes: int, name: str = "") -> Unpacked:
    """Unpack `member` ("" = all) of the archive to `target`, which must not be there yet.

    `name` tells the kind of archive where the file is called otherwise. Raises UserError for an archive that is
    damaged, does not have the member, holds more than `max_bytes`, or holds anything that is no plain file inside it.
    """
    wanted = PurePosixPath(member).as_posix() if member else ""
    hashes: dict[str, str] = {}
    written = 0
    with _staging(target) as staging, _entries(source, (name or source.name).lower(), max_bytes) as entries:
        for entry, stream in entries:
            inner = _within(entry, wanted)
            if inner is None:
                continue
            place = staging / (inner or "file")
            if inner in hashes or place.exists():
                raise UserError(f"{source} holds {entry!r} twice; it is not unpacked")
            place.parent.mkdir(parents=True, exist_ok=True)
            with open(place, "xb") as out:
                hashes[inner], size = _copy(stream, out, max_bytes - written, source)
            written += size
            if len(hashes) > MAX_FILES:
                raise UserError(f"{source} holds over {MAX_FILES} files; it is not unpacked")
        if not hashes:
            raise UserError(f"{source} does not hold {member or 'any file'!r}; its publisher changed it")
        single = "" in hashes
        os.replace(staging / "file" if single else staging, target)
    fsync_folder(target.parent)
    return Unpacked(len(hashes), written, hashes[""] if single else tree_hash(hashes))


def tree_hash(hashes: dict[str, str]) -> str:
    """Identity of a folder: the hash of its files' relative names (with /) and sha256s."""
    return content_hash(sorted(hashes.items()))


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder beside the target, on the same disk; gone afterwards, whatever happened."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        folder.chmod(0o755)  # mkdtemp's are for their owner alone
    except OSError as error:
        raise explain(error, target) from error
    try:
        yield folder
    except OSError as error:
        raise explain(error, target) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _entries(source: Path, name: str, max_bytes: int) -> Iterator[Iterator[tuple[str, Readable]]]:
    if name.endswith(".zip"):
        yield _zip(source, max_bytes)
    elif name.endswith(".tar"):
        yield _tar(source)
    else:
        with tempfile.NamedTemporaryFile(prefix=".unpacked.", suffix=".tar", dir=source.parent) as plain:
            with gzip.open(source, "rb") as stream:
                _copy(stream, plain, max_bytes, source)
            plain.flush()
            yield _tar(Path(plain.name))


def _tar(source: Path) -> Iterator[tuple[str, Readable]]:
    with open(source, "rb") as stream:
        for member in archive.members(source):
            if isinstance(member, archive.BadMember):
                raise UserError(f"{source}, {member.name!r}: {member.reason}; it is not unpacked")
            stream.seek(member.offset)
            yield _plain(member.name, source), _Slice(stream, member.size)


class _Slice:
    """The next `size` bytes of a stream, to be read as a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, count: int) -> bytes:
        block = self._stream.read(min(count, self._left))
        self._left -= len(block)
        return block


def _zip(source: Path, max_bytes: int) -> Iterator[tuple[str, Readable]]:
    with _zip_file(source) as file:
        infos = file.infolist()
        _check_bomb(infos, source, max_bytes)
        for info in infos:
            name = _plain(info.filename, source)
            if reason := _refuse(info):
                raise UserError(f"{source}, {info.filename!r}: {reason}; it is not unpacked")
            if not info.is_dir():
                try:
                    stream = file.open(info)
                except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
                    raise UserError(f"{source} is damaged in {name!r} ({error}); get it again") from error
                with stream:
                    yield name, stream


def _zip_file(source: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:  # names that are no UTF-8, too
        raise UserError(f"{source} is no readable zip archive ({error}); delete it and fetch it again") from error


def _check_bomb(infos: list[zipfile.ZipInfo], source: Path, max_bytes: int) -> None:
    """What the archive announces; zipfile never gives more of a member than it announced. Overlaps count in the sum."""
    total = sum(info.file_size for info in infos)
    if len(infos) > MAX_FILES or total > max_bytes:
        raise UserError(f"{source} would unpack to {len(infos)} files of {total} bytes; --max-size allows {max_bytes}")
    if total > max(FREE_BYTES, MAX_RATIO * source.stat().st_size):
        raise UserError(
            f"{source} would grow over {MAX_RATIO}-fold when unpacked: no data set does; it is not unpacked"
        )


def _refuse(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        return "it is encrypted"
    if stat.S_ISLNK(kind):
        return "a link; links in archives are not followed"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is packed in an unusual way; unpack it by hand"
    return "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "no plain file"


def _plain(name: str, source: Path) -> str:
    """The name with / between its parts. UserError for one that leads out of the folder."""
    parts = name.replace("\\", "/").split("/")
    if not name or name[0] in "/\\" or ".." in parts or ":" in parts[0] or "\0" in name:
        raise UserError(f"{source} holds {name!r}, a name that leads out of the folder; it is not unpacked")
    return PurePosixPath(*parts).as_posix()


def _within(name: str, wanted: str) -> str | None:
    """The name inside the wanted member: "" for the member itself, None for what is not of it."""
    if not wanted:
        return name
    if name == wanted:
        return ""
    return name[len(wanted) + 1 :] if name.startswith(f"{wanted}/") else None


def _copy(stream: Readable, out: IO[bytes], allowed: int, source: Path) -> tuple[str, int]:
    """(sha256, bytes) of what was copied. UserError where it is more than allowed, or damaged."""
    digest, size = hashlib.sha256(), 0
    try:
        while block := stream.read(BLOCK):
            size += len(block)
            if size > allowed:
                raise UserError(f"{source} unpacks to more than --max-size allows; raise it if you trust the archive")
            out.write(block)
            digest.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise UserError(f"{source} is damaged ({error}); delete it and fetch it again") from error
    return digest.hexdigest(), size
